"""Small markets and campaigns to test with."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from tenants.market.campaigns.specs import CampaignSpec
from tenants.market.moves import Kind, Price, PriceMove

MARKET = {
    "classes": [
        {"model_class": "small", "months": 150, "cut_log_sizes": [-0.9, -0.67, -1.5, 0.47]},
    ],
    "launches": 21,
    "provider_months": 343,
}


def move(**changes: Any) -> PriceMove:
    """A cut of one model from 2 to 1."""
    given: dict[str, Any] = {
        "date": dt.date(2025, 6, 10),
        "provider": "Acme",
        "model": "acme-1",
        "model_class": "small",
        "currency": "USD",
        "before": Price(2.0, 2.0),
        "after": Price(1.0, 1.0),
        "kind": Kind.CUT,
    }
    return PriceMove(**(given | changes))


def launch(model: str, on: dt.date, **changes: Any) -> PriceMove:
    return move(model=model, date=on, before=Price(), kind=Kind.LAUNCH, **changes)


def campaign(**changes: Any) -> dict[str, Any]:
    """A campaign's JSON: two segments, two rivals, a few paths."""
    shares = {"north": 0.3, "south": 0.2}
    given: dict[str, Any] = {
        "name": "rehearsal",
        "currency": "USD",
        "months": 12,
        "own": {
            "price": 2.5, "unit_cost": 0.8, "long_run_cost": 1.2, "fixed_cost": 4000,
            "cash": 100_000,
        },
        "rivals": [
            {"name": "north", "model_class": "small", "price": 2.2},
            {"name": "south", "model_class": "small", "price": 2.8},
        ],
        "segments": [
            {
                "name": "startups", "customers": 500, "usage": 20, "own_share": 0.2,
                "shares": shares, "elasticity": {"low": 2, "mode": 3, "high": 6},
            },
            {
                "name": "enterprises", "customers": 80, "usage": 200, "own_share": 0.3,
                "shares": shares, "elasticity": {"low": 0.8, "mode": 1.5, "high": 2.5},
            },
        ],
        "market": MARKET,
        "paths": 200,
        "scenarios": 20,
        "seed": 7,
    }  # fmt: skip
    return given | changes


def spec(**changes: Any) -> CampaignSpec:
    return CampaignSpec.read(campaign(**changes))


def still(**changes: Any) -> CampaignSpec:
    """One segment, everything known, nothing binding customers, one path a scenario."""
    zero = {"switching": 0, "stickiness": 0, "reaction": 0, "steepness": 0, "matching": 0,
            "launch_worth": 0, "cost_decline": 0}  # fmt: skip
    return spec(**({"assumptions": zero, "paths": 10, "scenarios": 10} | changes))


def one_segment(own_share: float, shares: dict[str, float], elasticity: float) -> dict[str, Any]:
    return {
        "name": "all", "customers": 1000, "usage": 1, "own_share": own_share, "shares": shares,
        "elasticity": elasticity,
    }  # fmt: skip


def relative_error(found: Any, wanted: Any) -> float:
    return float(np.max(np.abs(np.asarray(found) / np.asarray(wanted) - 1.0)))
