"""Costs and their bounds from runs that were timed. Free of torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from workers.engine.profiles import Profile

Numbers = npt.NDArray[np.float64]


def nonnegative(costs: Numbers) -> Numbers:
    """The x ≥ 0 with costs · x nearest to one everywhere, by least squares.

    `costs`: (runs, n), of which no column is negative; x is (n,), 0 for a column of noughts.
    """
    scale = costs.max(axis=0)
    scale[scale == 0] = 1.0
    found: Numbers = nnls(costs / scale, np.ones(len(costs)))[0] / scale
    return found


def bounded(profile: Profile, ratios: Sequence[float]) -> Profile:
    """With the quantiles of real over computed seconds.

    One more run like n that were made stays below the k-th of them k times in n + 1, for their
    order is a matter of chance: nine in ten below the largest of nine.
    """
    ordered = sorted(ratios)
    place = min(len(ordered), math.ceil(0.9 * (len(ordered) + 1)))
    return replace(
        profile, p10=ordered[-place], p50=statistics.median(ordered), p90=ordered[place - 1]
    )
