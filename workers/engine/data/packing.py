"""Examples joined into one row of tokens.

Positions restart, labels shift inside each example, no example sees another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[Any]


@dataclass(frozen=True)
class Pack:
    """One forward pass over T tokens with L labels.

    `ids`, `positions`: (T,) int64. `bounds`: where each sequence starts, and T at the end.
    `places`: (L,) int64, the tokens whose next one is learned. `labels`: (L,) int64, those
    next ones.
    """

    ids: Ints
    positions: Ints
    bounds: tuple[int, ...]
    places: Ints
    labels: Ints

    @property
    def examples(self) -> int:
        return len(self.bounds) - 1

    @property
    def tokens(self) -> int:
        return len(self.ids)

    @property
    def weight(self) -> int:
        return len(self.labels)


PASS_WORTH = {"cpu": 32}  # tokens that a pass costs besides its own: when padding is the cheaper
ON_ACCELERATOR = 4096  # where a small pass takes as long as a larger one


def alike(lengths: Sequence[int], budget: int, *, packing: bool, device: str) -> list[list[int]]:
    """Group sequences, by their index in `lengths`, to be padded to the longest of each group.

    A group has at most `budget` tokens, padding in it, or one sequence; each stands alone without
    `packing`. The groups are those of the least cost in all, padding and passes counted.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    if not packing:
        return [[index] for index in order]
    worth = PASS_WORTH.get(device, ON_ACCELERATOR)
    costs, starts = [0], [0]  # of the first n sequences; where the last group of them starts
    for end in range(1, len(order) + 1):
        longest = lengths[order[end - 1]]
        first = max(0, min(end - 1, end - budget // max(longest, 1)))
        start = min(range(first, end), key=lambda i: costs[i] + longest * (end - i))
        costs.append(costs[start] + longest * (end - start) + worth)
        starts.append(start)
    groups: list[list[int]] = []
    end = len(order)
    while end:
        groups.insert(0, order[starts[end] : end])
        end = starts[end]
    return groups


def plan(lengths: Sequence[int], budget: int, *, packing: bool) -> list[list[int]]:
    """Group sequences, by their index in `lengths`, into packs of at most `budget` tokens.

    First fit, longest first (at most 11/9 of the optimum, plus one). A sequence over the budget
    stands alone; so does each without `packing`.
    """
    if not packing:
        return [[index] for index in range(len(lengths))]
    packs: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        for place, free in enumerate(room):
            if lengths[index] <= free:
                packs[place].append(index)
                room[place] -= lengths[index]
                break
        else:
            packs.append([index])
            room.append(budget - lengths[index])
    return packs


def pack(sequences: Sequence[tuple[Ints, Ints]]) -> Pack:
    """Join (ids, mask) pairs into one pack.

    mask[i] = 1 means that token i is learned, from token i-1.
    """
    sizes = [len(ids) for ids, _ in sequences]
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    ids = np.concatenate([ids for ids, _ in sequences]).astype(np.int64)
    mask = np.concatenate([mask for _, mask in sequences]).astype(bool)
    mask[bounds[:-1]] = False
    learned = np.flatnonzero(mask)
    return Pack(
        ids=ids,
        positions=np.concatenate([np.arange(size) for size in sizes]),
        bounds=tuple(int(bound) for bound in bounds),
        places=learned - 1,
        labels=ids[learned],
    )


def join(packs: Sequence[Pack]) -> Pack:
    """Several packs as one, in order."""
    starts = np.cumsum([0, *(len(p.ids) for p in packs)])
    bounds = [b + int(at) for p, at in zip(packs, starts, strict=False) for b in p.bounds[:-1]]
    return Pack(
        ids=np.concatenate([p.ids for p in packs]),
        positions=np.concatenate([p.positions for p in packs]),
        bounds=(*bounds, int(starts[-1])),
        places=np.concatenate([p.places + at for p, at in zip(packs, starts, strict=False)]),
        labels=np.concatenate([p.labels for p in packs]),
    )
