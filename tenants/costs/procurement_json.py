"""A case of procurement as JSON: what `warroom procure` reads.

    {"classes": ["serve"], "weights": [1], "demand": [[[730, 1460]]], "penalty": {"serve": 20},
     "offers": [{"name": "1 year", "serves": ["serve"], "capacity": 730, "cost": 13140,
                 "months": 12, "available": 4}],
     "markets": [{"name": "on demand", "prices": {"serve": 2.5}}], "budget": 50000, "service": 0.99}

`demand` is [scenarios, classes, months]. Weights, budget, service, end_value and held may be left
out; held is capacity that was bought before: `[{"serves": ["serve"], "capacity": [730, 0]}]`.
In place of demand, `"forecast": {"months": 12, "scenarios": 20, "seed": 1}` has it told from the
books: classes are then kinds of work ("serve", "fine_tune").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tenants.costs.forecasting import demand_forecast
from tenants.costs.procurement_case import Case, Market, Offer
from tenants.kernel.errors import InvalidInput

NEEDED = ("classes", "offers", "markets", "demand", "penalty")
KNOWN = {*NEEDED, "weights", "budget", "service", "end_value", "held"}
FORECAST = {"months", "scenarios", "seed"}
Weeks = Mapping[str, Sequence[float]]


def case_read(text: str, weeks: Callable[[], Weeks] | None = None) -> Case:
    """Read a case; `weeks` tells the books' slot-hours where a forecast is asked for.

    Raises InvalidInput, naming what is missing, unknown or of the wrong kind.
    """
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"not JSON: {error}", param="case") from error
    if not isinstance(given, dict):
        raise InvalidInput("a case is a JSON object", param="case")
    return case_of(given, weeks)


def case_of(given: Mapping[str, Any], weeks: Callable[[], Weeks] | None = None) -> Case:
    """The same of what was read from JSON."""
    given = dict(given)
    if "forecast" in given and weeks is not None:
        given["demand"] = _forecast(given, weeks)
    for name in NEEDED:
        if name not in given:
            raise InvalidInput(f"the case has no {name}", param=name)
    if unknown := sorted(given.keys() - KNOWN):
        raise InvalidInput(f"a case has no {', '.join(unknown)}", param=unknown[0])
    try:
        return _case(given)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise InvalidInput(f"the case cannot be read: {error}", param="case") from error


def _forecast(given: dict[str, Any], weeks: Callable[[], Weeks]) -> Any:
    asked = given.pop("forecast")
    if "demand" in given:
        raise InvalidInput("a case has a demand or a forecast, not both", param="forecast")
    if not isinstance(asked, dict) or not asked.keys() <= FORECAST or "months" not in asked:
        raise InvalidInput("a forecast has months, perhaps scenarios and seed", param="forecast")
    if not all(isinstance(value, int) and value >= 0 for value in asked.values()):
        raise InvalidInput("a forecast's figures are whole numbers", param="forecast")
    classes = given.get("classes")
    if not isinstance(classes, list):
        raise InvalidInput("the case has no classes", param="classes")
    found = demand_forecast(
        weeks(),
        [str(name) for name in classes],
        months=asked["months"],
        scenarios=asked.get("scenarios", 20),
        seed=asked.get("seed", 1),
    )
    return found.tolist()


def _case(given: Mapping[str, Any]) -> Case:
    demand = np.array(given["demand"], dtype=np.float64)
    if demand.ndim != 3:
        raise InvalidInput("demand is [scenarios, classes, months]", param="demand")
    scenarios = demand.shape[0]
    weights = given.get("weights") or [1 / scenarios] * scenarios
    return Case(
        classes=tuple(given["classes"]),
        offers=[
            Offer(
                name=str(row["name"]),
                serves=frozenset(row["serves"]),
                capacity=float(row["capacity"]),
                cost=float(row["cost"]),
                months=int(row["months"]),
                available=int(row["available"]),
                from_month=int(row.get("from_month", 0)),
                to_month=None if row.get("to_month") is None else int(row["to_month"]),
            )
            for row in given["offers"]
        ],
        markets=[
            Market(str(row["name"]), dict(row["prices"]), dict(row.get("limits", {})))
            for row in given["markets"]
        ],
        demand=demand,
        weights=np.array(weights, dtype=np.float64),
        penalty=dict(given["penalty"]),
        budget=None if given.get("budget") is None else float(given["budget"]),
        service=float(given.get("service", 0.0)),
        end_value=float(given.get("end_value", 1.0)),
        held={frozenset(row["serves"]): row["capacity"] for row in given.get("held", ())},
    )
