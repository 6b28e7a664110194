"""The rivals' model recovers what was planted, with few events and with many."""

from __future__ import annotations

import numpy as np
import pytest

from tenants.market.rivals.facts import ClassFacts, RivalFacts
from tenants.market.rivals.fitting import fit

REPLICATIONS = 500
CLASSES = 5
HAZARD, SPREAD = 0.04, 0.5  # μ, and the classes' coefficient of variation
SIZE, SIZE_SPREAD, SIZE_SD = np.log(0.5), 0.35, 0.7  # m₀, τ, σ
WEIGHTS = np.array([0.3, 0.6, 1.0, 1.3, 1.8]) / CLASSES  # of the months at risk


def covered(draws: np.ndarray, truth: float) -> bool:
    low, high = np.quantile(draws, [0.1, 0.9])
    return bool(low <= truth <= high)


def replication(seed: int, events: int) -> dict[str, float]:
    """Plant parameters, draw a history of about `events` cuts, and say what the intervals cover."""
    rng = np.random.default_rng([events, seed])
    hazards = rng.gamma(1 / SPREAD**2, HAZARD * SPREAD**2, CLASSES)
    sizes = rng.normal(SIZE, SIZE_SPREAD, CLASSES)
    months = events / HAZARD * WEIGHTS
    cuts = rng.poisson(hazards * months)
    facts = RivalFacts(
        tuple(
            ClassFacts(str(n), float(months[n]), tuple(rng.normal(sizes[n], SIZE_SD, cuts[n])))
            for n in range(CLASSES)
        ),
        (), 0, 1.0,
    )  # fmt: skip
    draws = fit(facts, 1500, rng)
    drift = hazards * np.exp(sizes + SIZE_SD**2 / 2)
    return {
        "market's hazard": covered(draws.hazard_all, HAZARD),
        "classes' hazards": np.mean(
            [covered(draws.hazard[:, n], hazards[n]) for n in range(CLASSES)]
        ),
        "market's size": covered(draws.size_all, SIZE),
        "classes' sizes": np.mean(
            [covered(draws.size_mean[:, n], sizes[n]) for n in range(CLASSES)]
        ),
        "scatter of sizes": covered(draws.size_sd, SIZE_SD),
        "classes' drift": np.mean([covered(draws.drift(str(n)), drift[n]) for n in range(CLASSES)]),
    }


@pytest.mark.parametrize("events", [13, 300])
def test_intervals_of_80_percent_cover_what_was_planted(events: int) -> None:
    found = [replication(seed, events) for seed in range(REPLICATIONS)]
    coverage = {name: float(np.mean([row[name] for row in found])) for name in found[0]}
    assert {name: share for name, share in coverage.items() if not 0.74 <= share <= 0.86} == {}


def test_a_class_with_few_cuts_borrows_and_one_with_many_speaks_for_itself() -> None:
    rng = np.random.default_rng(0)
    many = ClassFacts("busy", 1000.0, tuple(rng.normal(SIZE, 0.1, 100)))
    none = ClassFacts("quiet", 10.0, ())
    alone = fit(RivalFacts((many,), (), 0, 1.0), 4000, rng)
    both = fit(RivalFacts((many, none), (), 0, 1.0), 4000, rng)
    busy, quiet = np.median(both.of_class("busy")[0]), np.median(both.of_class("quiet")[0])
    assert busy == pytest.approx(0.1, rel=0.1)
    assert busy == pytest.approx(np.median(alone.of_class("busy")[0]), rel=0.05)
    assert 0.02 < quiet < busy  # nothing was seen of it, but the market is a busy one
    unseen = both.of_class("never heard of")
    assert np.array_equal(unseen[0], both.hazard_all)


def test_without_any_history_the_prior_speaks() -> None:
    draws = fit(RivalFacts((), (), 0, 0.0), 20_000, np.random.default_rng(1))
    assert np.median(draws.hazard_all) == pytest.approx(0.03, rel=0.15)
    assert np.median(draws.size_all) == pytest.approx(np.log(0.5), abs=0.05)
