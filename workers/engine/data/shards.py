"""Encoded examples on disk, read back as memory maps.

So a data set's size never is the process's size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workers.engine.data.packing import Ints
from workers.engine.data.problems import SHOWN_PROBLEMS, Problem, problems_refuse
from workers.engine.data.readers import Example
from workers.engine.errors import DataError


@dataclass(frozen=True)
class Sizes:
    """What was stored, and how many tokens the length policy left off."""

    examples: int = 0
    tokens: int = 0
    loss_tokens: int = 0
    cut_tokens: int = 0

    def plus(self, example: Example) -> Sizes:
        return Sizes(
            self.examples + 1,
            self.tokens + len(example.ids),
            self.loss_tokens + example.loss_tokens,
            self.cut_tokens + example.cut,
        )


class Shards:
    """A folder of encoded examples.

    `tokens.bin` (int32), `mask.bin` (uint8) and `offsets.bin` (int64, one more than examples).
    """

    def __init__(self, folder: Path, sizes: Sizes) -> None:
        self.sizes = sizes
        self._offsets = np.fromfile(folder / "offsets.bin", dtype=np.int64)
        self._ids: Ints = np.memmap(folder / "tokens.bin", dtype=np.int32, mode="r")
        self._mask: Ints = np.memmap(folder / "mask.bin", dtype=np.uint8, mode="r")
        self.lengths: Ints = np.diff(self._offsets)

    def __len__(self) -> int:
        return self.sizes.examples

    def __getitem__(self, index: int) -> tuple[Ints, Ints]:
        """Token ids and mask of one example."""
        span = slice(self._offsets[index], self._offsets[index + 1])
        return self._ids[span], self._mask[span]

    @classmethod
    def write(
        cls, examples: Iterable[Example | Problem], folder: Path, *, vocabulary: int
    ) -> Shards:
        """Store `examples` and open them.

        Raises:
            DataError: the data hold a problem (the first few are named), or a token the model does
                not know.
        """
        folder.mkdir(parents=True, exist_ok=True)
        problems: list[Problem] = []
        offsets, sizes = [0], Sizes()
        with (folder / "tokens.bin").open("wb") as ids, (folder / "mask.bin").open("wb") as mask:
            for example in examples:
                if isinstance(example, Problem):
                    problems.append(example)
                    if len(problems) >= SHOWN_PROBLEMS:
                        break
                    continue
                _check_vocabulary(example, vocabulary)
                np.asarray(example.ids, dtype=np.int32).tofile(ids)
                np.asarray(example.mask, dtype=np.uint8).tofile(mask)
                sizes = sizes.plus(example)
                offsets.append(sizes.tokens)
        problems_refuse(problems)
        np.asarray(offsets, dtype=np.int64).tofile(folder / "offsets.bin")
        return cls(folder, sizes)


def _check_vocabulary(example: Example, vocabulary: int) -> None:
    if max(example.ids) >= vocabulary:
        raise DataError(
            f"line {example.line} holds token {max(example.ids)}, but the model knows "
            f"{vocabulary} tokens; the tokenizer and the model do not belong together."
        )
