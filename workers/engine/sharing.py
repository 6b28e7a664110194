"""Whether a fine-tune is cheaper in a shared pass than alone, by what was measured. Free of torch.

A pass costs `pack_s` however many members share it; each member's part adds `segment_s`; tokens,
and each member's own step, cost the same either way. So a shared pass saves what alone would be
paid once for each member, which matters where updates are small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workers.engine.profiles import (
    BYTES,
    Profile,
    adapter_parameters,
    flops_per_token,
    memory_bytes,
    update_s,
)
from workers.engine.shapes import Shape
from workers.engine.specs import FineTuneSpec

MARGIN = 0.03  # of a member's time alone that sharing must save, to be worth its trouble


@dataclass(frozen=True)
class Sharer:
    """A member's update as it counts here: its tokens, on average, and what it is made of."""

    spec: FineTuneSpec
    tokens: float

    @property
    def packs(self) -> int:
        return max(1, math.ceil(self.tokens / self.spec.micro_batch_tokens))


def alone_s(sharer: Sharer, shape: Shape, profile: Profile) -> float:
    """Seconds of a member's update by itself."""
    return sharer.packs * profile.pack_s + _own_s(sharer, shape, profile)


def together_s(
    sharers: Sequence[Sharer], shape: Shape, profile: Profile, *, pass_tokens: int
) -> float:
    """Seconds of one update of each. Infinite where shared passes were not measured."""
    if profile.segment_s is None:
        return math.inf
    passes = math.ceil(sum(s.tokens for s in sharers) / pass_tokens)
    segments = sum(s.packs for s in sharers) * profile.segment_s
    own = sum(_own_s(s, shape, profile) for s in sharers)
    return passes * profile.pack_s + segments + own


def pays(
    sharers: Sequence[Sharer],
    newcomer: Sharer,
    shape: Shape,
    profile: Profile,
    *,
    pass_tokens: int,
) -> bool:
    """Whether `newcomer` costs less beside `sharers` than by itself, by more than a margin."""
    alone = alone_s(newcomer, shape, profile)
    before = together_s(sharers, shape, profile, pass_tokens=pass_tokens)
    after = together_s([*sharers, newcomer], shape, profile, pass_tokens=pass_tokens)
    return math.isfinite(after) and after - before < (1 - MARGIN) * alone


def shared_memory_bytes(specs: Sequence[FineTuneSpec], shape: Shape, *, pass_tokens: int) -> int:
    """Peak memory of a shared pass: the base and the largest member once, the others' adapters."""
    most = max(memory_bytes(s, shape, tokens=max(pass_tokens, s.max_length)) for s in specs)
    trained = [adapter_parameters(s, shape) for s in specs]
    return most + 4 * BYTES * (sum(trained) - max(trained))


def _own_s(sharer: Sharer, shape: Shape, profile: Profile) -> float:
    tokens = sharer.tokens * flops_per_token(sharer.spec, shape) / profile.flops
    return tokens + update_s(sharer.spec, profile)
