"""Gradual pruning: one spec per round, so that the last reaches exactly what was asked for."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from workers.engine.compression.specs import PruneSpec


def round_specs(spec: PruneSpec) -> list[PruneSpec]:
    """What each round removes of what the round before left; nothing to prune is no round.

    The share that is gone grows as 1 − (1 − r/rounds)³, fast while much is redundant
    (Zhu & Gupta 2017, arXiv:1710.01878). Whole layers go in the first round.
    """
    if spec.is_nothing:
        return []
    shares = [1 - (1 - number / spec.rounds) ** 3 for number in range(spec.rounds + 1)]
    return [
        replace(
            spec,
            mlp=_relative(spec.mlp, before, after),
            heads=_relative(spec.heads, before, after),
            width=_relative(spec.width, before, after),
            layers=spec.layers if number == 0 else 0,
            rounds=1,
        )
        for number, (before, after) in enumerate(pairwise(shares))
    ]


def _relative(ratio: float, before: float, after: float) -> float:
    """Of what is left after `before` of `ratio` is gone, the share that goes now."""
    left = 1 - ratio * before
    return (left - (1 - ratio * after)) / left
