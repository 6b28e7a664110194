"""Turning a few dials instead of writing a spec: one figure each, its range put around it. Pure.

A dial that stands where it stood leaves its prior as it is. Another figure is the mode of a prior
from half of it to one and a half times it, cut where the spec's bounds are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tenants.market.campaigns.specs import Assumptions, Range

SPREAD = 0.5  # of a figure, to either side


@dataclass(frozen=True)
class Dial:
    """`most` is the highest figure that can be asked for; it is what the figure may be at all."""

    most: float
    usual: float = 0.0


def _prior(name: str, most: float) -> Dial:
    value = getattr(Assumptions(), name)
    return Dial(most, value.mode if isinstance(value, Range) else value)


PRIORS: Mapping[str, Dial] = {
    "switching": _prior("switching", 1.0),
    "stickiness": _prior("stickiness", 0.95),
    "reaction": _prior("reaction", 0.5),
    "steepness": _prior("steepness", 8.0),
    "matching": _prior("matching", 1.5),
    "launch_worth": _prior("launch_worth", 0.5),
    "cost_decline": _prior("cost_decline", 0.1),
}
# lever → its effect that the dial sets; money in the campaign's currency a month
LEVERS: Mapping[str, tuple[str, Dial]] = {
    "cheaper_training": ("unit_cost_saving", Dial(0.6)),
    "utilisation": ("fixed_cost_saving", Dial(0.9)),
    "waste": ("fixed_cost_saving", Dial(0.9)),
    "procurement": ("unit_cost_saving", Dial(0.6)),
    "pruning": ("unit_cost_saving", Dial(0.6)),
    "services": ("customer_revenue", Dial(1000.0)),
    "partner_revenue": ("line_revenue", Dial(100_000.0)),
    "partner_cost_share": ("cost_shared", Dial(0.6)),
    "new_lines": ("line_revenue", Dial(100_000.0)),
    "personalised_models": ("worth", Dial(0.5)),
}
FIXED = frozenset({"stickiness"})  # a figure, no range: see `Assumptions`


def dialled(
    spec: Mapping[str, Any], priors: Mapping[str, float], levers: Mapping[str, float]
) -> dict[str, Any]:
    """A spec with its dials turned; a lever at 0 is left out of it."""
    assumed = {
        name: value if name in FIXED else _around(value, PRIORS[name].most)
        for name, value in priors.items()
        if value != PRIORS[name].usual
    }
    chosen = [
        {"name": name, LEVERS[name][0]: _around(value, LEVERS[name][1].most)}
        for name, value in levers.items()
        if value
    ]
    return {**spec, "assumptions": assumed, "levers": chosen}


def _around(value: float, most: float) -> dict[str, float]:
    low, high = (1 - SPREAD) * value, min((1 + SPREAD) * value, max(most, value))
    return {"low": low, "mode": value, "high": high}
