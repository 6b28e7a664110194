"""A case of procurement as JSON: what `warroom procure` reads.

    {"classes": ["serve"], "weights": [1], "demand": [[[730, 1460]]], "penalty": {"serve": 20},
     "offers": [{"name": "1 year", "serves": ["serve"], "capacity": 730, "cost": 13140,
                 "months": 12, "available": 4}],
     "markets": [{"name": "on demand", "prices": {"serve": 2.5}}], "budget": 50000, "service": 0.99}

`demand` is [scenarios, classes, months]. Weights, budget, service and end_value may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tenants.costs.procurement import Case, Market, Offer
from tenants.kernel.errors import InvalidInput

NEEDED = ("classes", "offers", "markets", "demand", "penalty")
KNOWN = {*NEEDED, "weights", "budget", "service", "end_value"}


def case_read(text: str) -> Case:
    """Raises InvalidInput, naming what is missing, unknown or of the wrong kind."""
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"not JSON: {error}", param="case") from error
    if not isinstance(given, dict):
        raise InvalidInput("a case is a JSON object", param="case")
    for name in NEEDED:
        if name not in given:
            raise InvalidInput(f"the case has no {name}", param=name)
    if unknown := sorted(given.keys() - KNOWN):
        raise InvalidInput(f"a case has no {', '.join(unknown)}", param=unknown[0])
    try:
        return _case(given)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidInput(f"the case cannot be read: {error}", param="case") from error


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
    )
