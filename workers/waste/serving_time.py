"""When a target is awake, from its deployments' uses and when they sleep. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workers.waste.facts import Deployment

NOTHING: Mapping[str, float] = {}


@dataclass(frozen=True)
class Awake:
    """Seconds awake within the stretch, and how often a use found it asleep."""

    seconds: float
    wakes: int


def awake(
    deployments: Sequence[Deployment], until: float, sleep: Mapping[str, float] = NOTHING
) -> Awake:
    """Of a target with these deployments: it is awake while any of them wants it, which is through
    each use and for a while after it.

    `sleep` replaces how long that is, by deployment.
    """
    used = [each for each in deployments if each.uses]
    if not used:
        return Awake(0.0, 0)
    begins = np.concatenate([each.spans[:, 0] for each in used])
    ends = np.concatenate(
        [each.spans[:, 1] + sleep.get(each.id, each.sleep_after_s) for each in used]
    )
    order = np.argsort(begins, kind="stable")
    begins, ends = begins[order], np.minimum(ends[order], until)
    reached = np.concatenate([[-np.inf], np.maximum.accumulate(ends)[:-1]])
    seconds = np.maximum(ends - np.maximum(begins, reached), 0.0).sum()
    return Awake(float(seconds), int((begins > reached).sum()))
