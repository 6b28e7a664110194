"""Learning rates: a warm-up, then constant, a line to zero or half a cosine. Pure."""

from __future__ import annotations

import math

from workers.engine.specs import FineTuneSpec


def learning_rate(spec: FineTuneSpec, update: int, total: int) -> float:
    """The rate of update `update` (from 0) of `total`.

    The warm-up's last update has the full rate.
    """
    warm = math.ceil(spec.warmup_fraction * total)
    if update < warm:
        return spec.learning_rate * (update + 1) / warm
    part = (update - warm) / max(1, total - warm)
    if spec.schedule == "linear":
        return spec.learning_rate * (1 - part)
    if spec.schedule == "cosine":
        return spec.learning_rate * 0.5 * (1 + math.cos(math.pi * part))
    return spec.learning_rate
