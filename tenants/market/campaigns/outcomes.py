"""What a simulated policy led to, in the figures that people compare. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tenants.market.campaigns.levers import USAGE
from tenants.market.campaigns.simulate import Outcome
from tenants.market.campaigns.worlds import Floats

BAND = (0.1, 0.5, 0.9)  # quantiles over paths


def by_scenario(values: Floats, scenarios: int) -> Floats:
    """Means of the paths of each scenario: (paths,) → (scenarios,)."""
    return np.asarray(values.reshape(scenarios, -1).mean(axis=1))


def summary(outcome: Outcome, parameters: Mapping[str, float]) -> dict[str, Any]:
    """A policy's figures as JSON. Money is in the campaign's currency; bands are 10%, 50%, 90%."""
    months = len(outcome.cash)
    total = outcome.margin.sum(axis=0)
    even = _breaks_even(outcome.margin)
    ruin = float(outcome.ruined.mean())
    return {
        "policy": outcome.policy,
        "parameters": dict(parameters),
        "final_cash": {"mean": float(outcome.final_cash.mean()), **_band(outcome.final_cash)},
        "margin": {"mean": float(total.mean()), **_band(total)},
        "share": {"mean": float(outcome.share[-1].mean()), **_band(outcome.share[-1])},
        "ruin_probability": ruin,
        "runway_months": _runway(outcome.ruined_in, months),
        "break_even": {
            "probability": float((even < months).mean()),
            "median_month": _month(float(np.median(even)), months),
        },
        "at_floor": float(outcome.at_floor.mean()),
        "revenue": {
            name: {"mean": float(values.sum(axis=0).mean()), **_band(values.sum(axis=0))}
            for name, values in outcome.revenue.items()
            if values.any() or name == USAGE
        },
        "by_month": {
            name: _monthly(getattr(outcome, name))
            for name in ("share", "price", "rival_price", "tokens", "loss", "margin", "cash")
        }
        | {"revenue": _monthly(outcome.revenue[USAGE])},
        "ruined_by_month": [float((outcome.ruined_in <= month).mean()) for month in range(months)],
    }


def _band(values: Floats) -> dict[str, float]:
    low, middle, high = np.quantile(values, BAND)
    return {"low": float(low), "median": float(middle), "high": float(high)}


def _monthly(values: Floats) -> dict[str, list[float]]:
    low, middle, high = np.quantile(values, BAND, axis=1)
    return {"low": low.tolist(), "median": middle.tolist(), "high": high.tolist()}


def _breaks_even(margin: Floats) -> Floats:
    """The month from which the sum of margins stays at or above 0; `months` where it does not."""
    below = np.cumsum(margin, axis=0) < 0
    months = len(margin)
    last_below = months - 1 - np.argmax(below[::-1], axis=0)
    return np.where(below.any(axis=0), last_below + 1.0, 0.0)


def _runway(ruined_in: Floats, months: int) -> int | None:
    """In how many months a tenth of the paths is ruined; None: not within the campaign."""
    return _month(float(np.quantile(ruined_in, BAND[0], method="lower")), months)


def _month(value: float, months: int) -> int | None:
    return None if value >= months else int(value)
