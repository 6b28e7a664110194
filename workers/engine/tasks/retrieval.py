"""How well anchors find what belongs to them among all texts of a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workers.engine.data.packing import Ints
from workers.engine.data.shards import Shards

MOST = 20_000  # pairs that are ranked; vectors of all of them stay in memory
AT_ONCE = 1024


class Retrieval:
    """Vectors gathered pass by pass; equal texts are one candidate."""

    def __init__(self) -> None:
        self._anchors: list[npt.NDArray[Any]] = []
        self._wanted: list[int] = []
        self._candidates: list[npt.NDArray[Any]] = []
        self._known: dict[bytes, int] = {}

    def add(self, vectors: npt.NDArray[Any], texts: Ints, shards: Shards, stored: Ints) -> None:
        """Take a batch's vectors (texts, hidden).

        `texts` and `stored`, both (pairs, 3): each text's place in the batch, and in the shards.
        """
        for row, places in zip(texts, stored, strict=True):
            if len(self._wanted) == MOST:
                return
            self._anchors.append(vectors[row[0]])
            own = [
                self._candidate(vectors[place], shards[int(number)][0].tobytes())
                for place, number in zip(row[1:], places[1:], strict=True)
                if place >= 0
            ]
            self._wanted.append(own[0])

    def _candidate(self, vector: npt.NDArray[Any], content: bytes) -> int:
        place = self._known.setdefault(content, len(self._candidates))
        if place == len(self._candidates):
            self._candidates.append(vector)
        return place

    def sums(self) -> dict[str, float]:
        """How many anchors were ranked; how often first, or among ten; of the ranks' inverses."""
        ranks = self._ranks() if self._wanted else np.zeros(0)
        return {
            "ranked": len(ranks),
            "first": float((ranks == 1).sum()),
            "tenth": float((ranks <= 10).sum()),
            "reciprocal": float((1 / ranks).sum()),
        }

    def _ranks(self) -> npt.NDArray[Any]:
        """(anchors,): 1 + the candidates that lie closer than the positive."""
        anchors, candidates = np.stack(self._anchors), np.stack(self._candidates)
        wanted = np.array(self._wanted)
        found = []
        for start in range(0, len(anchors), AT_ONCE):
            cosines = anchors[start : start + AT_ONCE] @ candidates.T
            own = np.take_along_axis(cosines, wanted[start : start + AT_ONCE, None], 1)
            found.append(1 + (cosines > own).sum(1))
        return np.concatenate(found)
