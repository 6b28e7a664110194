"""How far a measured unit cost may be off: a bootstrap over blocks of days and over workers. Pure.

Days near one another are alike, and so are a worker's hours; both are kept together when drawn
(circular blocks: Politis and Romano, 1992; rows and columns drawn apart: Owen, The pigeonhole
bootstrap, Ann. Appl. Stat. 1(2), 2007, which errs on the wide side). Estimates in float64: bounds
are never posted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SAMPLES = 1000
LEVEL = 0.90
FEWEST_DAYS = 7  # with fewer, a bootstrap would only look sure


@dataclass(frozen=True)
class Bounds:
    """What lies between `low` and `high` at the level asked for."""

    low: float
    high: float


def ratio_bounds(
    costs: Floats, units: Floats, *, level: float = LEVEL, samples: int = SAMPLES, seed: int = 1
) -> Bounds | None:
    """Bounds of sum(costs) / sum(units), for costs [days, workers] and units [days].

    None where fewer than `FEWEST_DAYS` days have units. Raises ValueError where the
    shapes do not fit.
    """
    days, workers = costs.shape
    if units.shape != (days,):
        raise ValueError(f"units have shape {units.shape}, not ({days},)")
    if np.count_nonzero(units > 0) < FEWEST_DAYS:
        return None
    generator = np.random.default_rng(seed)
    drawn_days = block_counts(generator, days=days, samples=samples)
    drawn_workers = generator.multinomial(workers, np.full(workers, 1 / workers), size=samples)
    cost = ((drawn_days @ costs) * drawn_workers).sum(axis=1)
    unit = drawn_days @ units
    kept = unit > 0
    tail = (1 - level) / 2
    low, high = np.quantile(cost[kept] / unit[kept], [tail, 1 - tail])
    return Bounds(float(low), float(high))


def block_counts(generator: np.random.Generator, *, days: int, samples: int) -> Floats:
    """How often each day is drawn, [samples, days]: blocks of days^(1/3), on a circle."""
    length = max(1, round(days ** (1 / 3)))
    blocks = -(-days // length)
    starts = generator.integers(0, days, size=(samples, blocks, 1))
    drawn = ((starts + np.arange(length)) % days).reshape(samples, -1)[:, :days]
    counts = np.zeros((samples, days))
    np.add.at(counts, (np.arange(samples)[:, None], drawn), 1.0)
    return counts
