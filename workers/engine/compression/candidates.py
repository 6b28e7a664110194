"""What a search chooses from, and how it chooses. Pure, free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from workers.engine.compression.specs import CompressSpec, PruneSpec, TargetSpec


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
    def key(self) -> tuple[float, str, str]:
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


def finalists(proxies: Sequence[Candidate], target: TargetSpec) -> list[Candidate]:
    """Which candidates are worth measuring: those that reach the target, the best quality first.

    Where too few do, those nearest to it fill up.
    """
    reach = [c for c in proxies if excess(c, target) <= 1]
    rest = [c for c in proxies if excess(c, target) > 1]
    reach.sort(key=lambda c: (c.quality_loss, cost(c, target)))
    rest.sort(key=lambda c: excess(c, target))
    return [*reach, *rest][: target.finalists]


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
    bounded = [c for c in measured if c.quality_loss <= target.quality_loss]
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
