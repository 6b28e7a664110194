"""Scores of forecasts, and how sure a difference between two of them is. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Proportion:
    """`hits` of `trials`, with the exact binomial interval of Clopper and Pearson (1934)."""

    hits: int
    trials: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.hits / self.trials if self.trials else float("nan")


def crps(ensemble: Floats, observed: float) -> float:
    """Continuous ranked probability score of an ensemble: E|X - y| - E|X - X'|/2.

    For one member it is the absolute error. In the unit of `observed`; lower is better.
    Gneiting and Raftery (2007), equation 21.
    """
    members = np.sort(ensemble)
    number = len(members)
    # E|X - X'| over all pairs, from the sorted members in one pass
    ranks = 2.0 * np.arange(1, number + 1) - number - 1.0
    spread = 2.0 * float(ranks @ members) / number**2
    return float(np.mean(np.abs(members - observed))) - spread / 2.0


def block_bootstrap(
    series: Floats, *, block: int, level: float, seed: int, resamples: int = 4000
) -> tuple[float, float]:
    """Interval of the mean of a series whose neighbours depend on one another.

    Circular blocks of `block` neighbours are drawn with replacement. Politis and Romano (1992).
    """
    number = len(series)
    blocks = -(-number // block)
    starts = np.random.default_rng(seed).integers(number, size=(resamples, blocks))
    places = (starts[:, :, None] + np.arange(block)) % number
    means = series[places.reshape(resamples, -1)[:, :number]].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def proportion(hits: int, trials: int, level: float = 0.8) -> Proportion:
    """A share with its exact binomial interval; that of no trial at all is 0 to 1."""
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits, trials - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return Proportion(hits, trials, low, high)
