"""What capacity will be asked for: scenarios of monthly slot-hours from weeks of the books. Pure.

A log-linear trend through each class's weekly hours, damped as it is carried on (Gardner and
McKenzie, Management Science 31(10), 1985) and no further than it was seen, with its level and slope
drawn from their sampling distribution and each month's weeks from the residuals (Duan's smearing,
JASA 78(383), 1983).
Estimates in float64: never posted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tenants.costs.procurement_case import Floats
from tenants.kernel.errors import InvalidInput

FEWEST_WEEKS = 6
DAMPED = 0.98  # what is left of the trend from one week to the next
WEEKS_A_MONTH = 365.25 / 12 / 7
LEAST = 0.05  # of a mean week: what one without work counts as, which has no logarithm


def demand_forecast(
    weeks: Mapping[str, Sequence[float]],
    classes: Sequence[str],
    *,
    months: int,
    scenarios: int,
    seed: int = 1,
    edges: Sequence[float] | None = None,
) -> Floats:
    """Scenarios [scenarios, classes, months] of slot-hours a month, from hours by whole week.

    `weeks` holds each class's, the oldest first. `edges` tells where months begin, and the last one
    ends, in weeks from the end of these; without, months of equal length begin there. Raises
    InvalidInput for a class that is not in the books, or for fewer than 6 weeks.
    """
    if not 1 <= months <= 120 or not 1 <= scenarios <= 1000:
        raise InvalidInput("1 to 120 months and 1 to 1000 scenarios", param="months")
    generator = np.random.default_rng(seed)
    usual = [n * WEEKS_A_MONTH for n in range(months + 1)]
    borders = np.asarray(usual if edges is None else edges, dtype=np.float64)
    if len(borders) != months + 1 or borders[0] < 0 or (np.diff(borders) <= 0).any():
        raise InvalidInput("months follow upon each other", param="edges")
    found = []
    for name in classes:
        hours = np.asarray(weeks.get(name, ()), dtype=np.float64)
        if len(hours) < FEWEST_WEEKS or not hours.any():
            raise InvalidInput(
                f"the books hold {len(hours)} whole weeks of {name}; a forecast needs"
                f" {FEWEST_WEEKS} with work in them",
                param="classes",
            )
        found.append(_class_forecast(hours, borders, scenarios, generator))
    return np.stack(found, axis=1)


def _class_forecast(
    hours: Floats, edges: Floats, scenarios: int, generator: np.random.Generator
) -> Floats:
    """[scenarios, months] of one class."""
    week = np.arange(len(hours)) - (len(hours) - 1) / 2
    logs = np.log(np.maximum(hours, LEAST * hours.mean()))
    slope = float(week @ logs / (week @ week))
    residuals = logs - logs.mean() - slope * week
    spread = float(np.sqrt(residuals @ residuals / (len(hours) - 2)))
    drawn = generator.standard_t(len(hours) - 2, size=(2, scenarios, 1)) * spread
    level = logs.mean() + drawn[0] / np.sqrt(len(hours))
    trend = slope + drawn[1] / np.sqrt(week @ week)
    ahead = np.arange(1, int(np.ceil(edges[-1])) + 1)
    further = np.minimum(np.cumsum(DAMPED**ahead), len(hours))  # weeks of trend, ever fewer
    carried = week[-1] + further
    path = level + trend * carried + generator.choice(residuals, size=(scenarios, len(ahead)))
    return _months(np.exp(path), edges)


def _months(weekly: Floats, edges: Floats) -> Floats:
    """Weeks [scenarios, weeks] laid on months, a week that two share by its days."""
    running = np.concatenate([np.zeros((len(weekly), 1)), np.cumsum(weekly, axis=1)], axis=1)
    whole = edges.astype(int)
    part = edges - whole
    following = np.minimum(whole + 1, weekly.shape[1])
    reached = running[:, whole] * (1 - part) + running[:, following] * part
    return np.diff(reached, axis=1)
