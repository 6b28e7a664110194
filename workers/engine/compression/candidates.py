"""What a search chooses from, and how it chooses. Pure, free of torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from workers.engine.compression.specs import CompressSpec, PruneSpec, TargetSpec

Key = tuple[float, str, str]  # ratio, scorer, format


@dataclass(frozen=True)
class Candidate:
    """Settings, and what they came to: `latency` and `bytes` as shares of the dense model's,

    `quality_loss` the share by which quality got worse (`quality.py`); of a proxy until it
    `is_measured`.
    """

    ratio: float
    scorer: str
    format: str
    latency: float = 1.0
    bytes: float = 1.0
    quality_loss: float = 0.0
    is_measured: bool = False

    @property
    def key(self) -> Key:
        return self.ratio, self.scorer, self.format

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def spec(self, search: CompressSpec, *, heads: bool) -> CompressSpec:
        """The compression that this candidate is."""
        prune = PruneSpec(
            mlp=self.ratio,
            heads=self.ratio if heads else 0.0,
            scorer=self.scorer,
        )
        return replace(search, prune=prune, quantise=self.format, target=None)


def candidates_of(target: TargetSpec) -> list[Candidate]:
    """Every combination but the dense model itself; without pruning the scorer does not matter."""
    found = [
        Candidate(ratio, scorer if ratio else target.scorers[0], kind)
        for ratio, scorer, kind in product(target.ratios, target.scorers, target.formats)
        if ratio or kind != "none"
    ]
    return list({candidate.key: candidate for candidate in found}.values())


def excess(candidate: Candidate, target: TargetSpec) -> float:
    """How many times the target a candidate still takes, of the worst of what was asked for.

    At most 1: it reaches the target. Nothing asked for is reached by anything.
    """
    asked = [(target.latency, candidate.latency), (target.bytes, candidate.bytes)]
    return max((found / wanted for wanted, found in asked if wanted), default=0.0)


def cost(candidate: Candidate, target: TargetSpec) -> float:
    """What to make small: the latency, or the bytes where only they were asked for."""
    return candidate.bytes if target.bytes and not target.latency else candidate.latency


def next_finalist(
    proxies: Sequence[Candidate], measured: Sequence[Candidate], target: TargetSpec
) -> Candidate | None:
    """Whom to measure next, to find the cheapest that keeps the bound; None where it is enough.

    Along the proxies' front quality falls as cost falls, so bisection finds the edge of the bound.
    What measurements are left over go to the best of those that would be cheaper still. The last
    one goes to the best quality there is, where nothing has kept the bound yet.
    """
    known = {c.key: c for c in measured}
    left = [c for c in proxies if c.key not in known]
    room = target.finalists - len(measured)
    if room <= 0 or not left:
        return None
    kept = [c for c in proxies if c.key in known and _keeps(known[c.key], target)]
    if room == 1 and not kept:
        return min(left, key=lambda c: (c.quality_loss, cost(c, target)))
    edge = _bisected(front(proxies, target), known, target)
    if edge is not None:
        return edge
    best = min((cost(c, target) for c in kept), default=math.inf)
    return min(left, key=lambda c: (cost(c, target) >= best, c.quality_loss, cost(c, target)))


def _bisected(
    line: Sequence[Candidate], known: Mapping[Key, Candidate], target: TargetSpec
) -> Candidate | None:
    """The next to measure of a line from cheap to good; None once the edge is known."""
    low, high = 0, len(line)  # the cheapest that keeps the bound stands at low … high
    while low < high:
        middle = (low + high) // 2
        found = known.get(line[middle].key)
        if found is None:
            return line[middle]
        low, high = (low, middle) if _keeps(found, target) else (middle + 1, high)
    return None


def _keeps(candidate: Candidate, target: TargetSpec) -> bool:
    return candidate.quality_loss <= target.quality_loss


def front(measured: Sequence[Candidate], target: TargetSpec) -> list[Candidate]:
    """The Pareto front: whoever is not beaten in both cost and quality, cheapest first."""
    ordered = sorted(measured, key=lambda c: (cost(c, target), c.quality_loss))
    found: list[Candidate] = []
    for candidate in ordered:
        if not found or candidate.quality_loss < found[-1].quality_loss:
            found.append(candidate)
    return found


@dataclass(frozen=True)
class Recommendation:
    """The choice, whether it keeps both target and bound, and what limits it where it does not."""

    candidate: Candidate
    reached: bool
    limit: str


def recommend(measured: Sequence[Candidate], target: TargetSpec) -> Recommendation:
    """The cheapest that keeps the bound and reaches the target; else the nearest to them."""
    bounded = [c for c in measured if _keeps(c, target)]
    good = [c for c in bounded if excess(c, target) <= 1]
    if good:
        return Recommendation(min(good, key=lambda c: cost(c, target)), reached=True, limit="")
    if not bounded:
        best = min(measured, key=lambda c: c.quality_loss)
        limit = (
            f"quality: no candidate keeps it within {target.quality_loss:.0%}; the nearest "
            f"loses {best.quality_loss:.1%}. Allow more loss, give recover.tokens, or offer "
            "smaller ratios."
        )
        return Recommendation(best, reached=False, limit=limit)
    best = min(bounded, key=lambda c: excess(c, target))
    limit = (
        f"size: within the bound on quality, the best takes {best.latency:.2f} of the dense "
        f"latency and {best.bytes:.2f} of its bytes. Ask for less, allow more loss, or give "
        "recover.tokens."
    )
    return Recommendation(best, reached=False, limit=limit)
