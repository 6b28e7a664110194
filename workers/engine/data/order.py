"""The order of examples: a pure function of seed, epoch and example.

So resuming needs no stored order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 2**64 - 1


def epoch_order(seed: int, epoch: int, examples: int) -> npt.NDArray[Any]:
    """A permutation of range(examples), int64: sorted by a hash of (seed, epoch, example)."""
    start = mix(seed, epoch)
    keys: npt.NDArray[Any] = np.uint64(start) + np.arange(
        1, examples + 1, dtype=np.uint64
    ) * np.uint64(_GOLDEN)
    return _scramble(keys).argsort(kind="stable")


def mix(*numbers: int) -> int:
    """One 64-bit number from several, by splitmix64 (Steele, Lea, Flood 2014) over each in turn."""
    state = 0
    for number in numbers:
        word = np.array([(state ^ (number & _WORD)) + _GOLDEN & _WORD], dtype=np.uint64)
        state = int(_scramble(word)[0])
    return state


def _scramble(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """splitmix64's finaliser; arithmetic wraps at 64 bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x
