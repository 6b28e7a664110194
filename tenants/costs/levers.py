"""Levers as rows: what each way of working more cheaply gained, as a share of cost with a band.

Workers measure; the costs page shows; campaigns read the newest. System scope.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from tenants.costs.bounds import Floats
from tenants.costs.models import LeverMeasurement
from tenants.kernel.clock import database_now

SAMPLES = 2000
LEVEL = 0.90
SEED = 20_260
MICROS = Decimal("0.000001")


@dataclass(frozen=True)
class Gain:
    """`point` is the share of cost saved, `low` and `high` its 90% band; `saved` is USD in the
    period, `sample` how many jobs or days it comes from.
    """

    lever: str
    point: float
    low: float
    high: float
    saved: Decimal
    sample: int
    evidence: Mapping[str, Any]


def ratio_gain(spent: Sequence[float], without: Sequence[float]) -> tuple[float, float, float]:
    """The share saved, 1 - spent / without, over paired observations; with its bootstrap band.

    Raises ValueError where there is nothing to compare.
    """
    with_it, instead = np.asarray(spent, float), np.asarray(without, float)
    if not len(instead) or instead.sum() <= 0:
        raise ValueError("nothing was measured")
    point = 1 - with_it.sum() / instead.sum()
    generator = np.random.default_rng(SEED)
    drawn = generator.integers(0, len(instead), size=(SAMPLES, len(instead)))
    whole: Floats = instead[drawn].sum(axis=1)
    shares = 1 - with_it[drawn].sum(axis=1)[whole > 0] / whole[whole > 0]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(shares, [tail, 1 - tail])
    return float(point), float(min(low, point)), float(max(high, point))


def levers_record(*, since: dt.datetime, until: dt.datetime, gains: Sequence[Gain]) -> int:
    """Keep what was measured of a period; measured again, the newer replaces it."""
    for gain in gains:
        LeverMeasurement.objects.update_or_create(
            lever=gain.lever,
            since=since,
            until=until,
            defaults={
                "point": gain.point,
                "low": gain.low,
                "high": gain.high,
                "saved": gain.saved.quantize(MICROS),
                "sample": gain.sample,
                "evidence": dict(gain.evidence),
                "measured_at": database_now(),
            },
        )
    return len(gains)


def levers_newest() -> list[LeverMeasurement]:
    """Each lever's newest measurement, by name; those never measured are missing."""
    rows = LeverMeasurement.objects.order_by("lever", "-until", "-id").distinct("lever")
    return list(rows)
