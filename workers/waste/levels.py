"""How much capacity to keep: what a slot costs against what it costs to lack it. Pure.

The newsvendor's balance: a slot is kept while the time in which it is needed, at what a shortage
costs, outweighs the time in which it is paid for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from workers.waste.facts import Level


def cheapest_level(levels: Sequence[Level], *, held: int, unknown_s: float, shortage: float) -> int:
    """The number of slots, at most `held`, at which holding and lacking them cost the least.

    `shortage` is what a slot-second short costs, in slot-seconds. Time that telemetry does not
    tell of is taken to need as much as the busiest that it does.
    """
    if not levels:
        return held
    total = sum(level.seconds for level in levels) + unknown_s
    peak = max(math.ceil(level.need) for level in levels)
    keep = held
    while keep > 0:
        needed = sum(_of_slot(keep, level.need) * level.seconds for level in levels)
        if peak >= keep:
            needed += unknown_s
        if needed * shortage >= total:
            return keep
        keep -= 1
    return keep


def _of_slot(number: int, need: float) -> float:
    """The part of the `number`-th slot that is needed."""
    return min(max(need - (number - 1), 0.0), 1.0)
