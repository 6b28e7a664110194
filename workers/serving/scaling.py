"""How many replicas a target needs, and when a failing one is tried again. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SEQUENCES_PER_REPLICA = 8  # beyond these, each one's tokens come too slowly
FIRST_BACK_OFF = timedelta(seconds=5)
LONGEST_BACK_OFF = timedelta(minutes=5)


@dataclass(frozen=True)
class Demand:
    """What is asked of one target: `limit` is the most replicas that its deployments that are awake
    allow (0: all sleep), `active` the sequences being generated on all of its replicas.
    """

    limit: int
    active: int = 0


@dataclass(frozen=True)
class Plan:
    """`start` new replicas, and drain the serve jobs in `stop`."""

    start: int = 0
    stop: tuple[str, ...] = ()


def replicas_wanted(demand: Demand, *, running: int) -> int:
    """Return how many replicas there should be.

    One while awake, more under load up to the limit; one fewer only when the rest would be half
    idle, so that the number does not flap.
    """
    if demand.limit == 0:
        return 0
    needed = max(1, min(demand.limit, math.ceil(demand.active / SEQUENCES_PER_REPLICA)))
    if needed >= running:
        return needed
    spare = demand.active <= (running - 1) * SEQUENCES_PER_REPLICA // 2
    return min(demand.limit, running - 1 if spare else running)


def plan(demand: Demand, *, jobs: Sequence[str]) -> Plan:
    """Compare what is wanted with the serve jobs under way, oldest first; the newest leave."""
    wanted = replicas_wanted(demand, running=len(jobs))
    if wanted >= len(jobs):
        return Plan(start=wanted - len(jobs))
    return Plan(stop=tuple(jobs[wanted:]))


def may_start(failures: Sequence[datetime], *, now: datetime) -> bool:
    """Whether a target whose serve jobs failed at these times may be tried again by now.

    Waits 5, 10, 20 … seconds after the last of `failures`, at most five minutes.
    """
    if not failures:
        return True
    wait: timedelta = min(FIRST_BACK_OFF * 2 ** min(len(failures) - 1, 16), LONGEST_BACK_OFF)
    return now >= max(failures) + wait
