"""Cases of procurement for tests and benchmarks."""

from __future__ import annotations

import numpy as np

from tenants.costs.procurement_case import Case, Floats, Market, Offer

HOURS = 730.0
CLASSES = ("train", "serve", "batch", "large")
LEVELS = np.array([80_000.0, 50_000.0, 30_000.0, 15_000.0])  # slot-hours a month
DISCOUNTS = {1: 0.05, 3: 0.12, 6: 0.20, 12: 0.32, 24: 0.42, 36: 0.50}
SHAPES = ("steady", "growing", "seasonal")


def demand_make(*, scenarios: int, months: int, shape: str = "growing", seed: int = 0) -> Floats:
    """Demand [scenarios, classes, months]: a trend that nobody knows, and noise."""
    generator = np.random.default_rng(seed)
    month = np.arange(months)
    trend = {"steady": 0.0, "growing": 0.02, "seasonal": 0.0}[shape]
    growth = generator.normal(trend, 0.015, (scenarios, 1, 1))
    season = 1 + (0.4 * np.sin(2 * np.pi * month / 12) if shape == "seasonal" else 0 * month)
    noise = generator.lognormal(0, 0.15, (scenarios, len(CLASSES), months))
    demand: Floats = LEVELS[None, :, None] * np.exp(growth * month) * season * noise
    return demand


def large_case(
    *, offers: int = 50, months: int = 36, scenarios: int = 10, shape: str = "growing"
) -> Case:
    """Offers of one to 36 months for one or two classes, on demand at 2.50, some spot at 1.00."""
    generator = np.random.default_rng(0)
    made = []
    for number in range(offers):
        term = int(generator.choice(list(DISCOUNTS)))
        serves = generator.choice(CLASSES, size=int(generator.integers(1, 3)), replace=False)
        price = 2.5 * (1 - DISCOUNTS[term]) * generator.uniform(0.9, 1.1)
        made.append(
            Offer(
                f"offer {number}", frozenset(serves.tolist()), HOURS, price * HOURS * term, term,
                available=int(generator.integers(3, 40)),
            )
        )  # fmt: skip
    return Case(
        classes=CLASSES,
        offers=made,
        markets=[
            Market("on demand", dict.fromkeys(CLASSES, 2.5)),
            Market("spot", dict.fromkeys(CLASSES, 1.0), dict.fromkeys(CLASSES, 5000.0)),
        ],
        demand=demand_make(scenarios=scenarios, months=months, shape=shape),
        weights=np.full(scenarios, 1 / scenarios),
        penalty=dict.fromkeys(CLASSES, 20.0),
        budget=8_000_000.0,
        service=0.99,
    )
