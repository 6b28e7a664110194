"""When a target is awake, from its deployments' uses and when they sleep. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workers.waste.facts import Deployment

Stretch = tuple[float, float]


@dataclass(frozen=True)
class Awake:
    """Seconds awake within the stretch, and how often a use found it asleep."""

    seconds: float
    wakes: int


def wanted(deployment: Deployment, until: float) -> Iterator[Stretch]:
    """The stretches for which one deployment wants a replica: each use, and a while after it."""
    for begin, end in deployment.uses:
        yield begin, min(end + deployment.sleep_after_s, until)


def union(stretches: Sequence[Stretch]) -> list[Stretch]:
    """The same time without overlaps, in order."""
    found: list[Stretch] = []
    for begin, end in sorted(stretches):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def awake(deployments: Sequence[Deployment], until: float) -> Awake:
    """Of a target with these deployments: it is awake while any of them wants it."""
    together = union([stretch for each in deployments for stretch in wanted(each, until)])
    return Awake(sum(end - begin for begin, end in together), len(together))
