"""Some examples of a data file, told by their places in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workers.engine.data.packing import Ints
from workers.engine.tasks.task import Data


@dataclass(frozen=True)
class Part:
    """The examples at `places`."""

    data: Data
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def lengths(self) -> Ints:
        """(examples,): tokens of each."""
        found: Ints = np.asarray([int(self.data.lengths[place]) for place in self.places])
        return found

    def first(self, count: int) -> Part:
        """At most `count` of them."""
        return Part(self.data, self.places[:count])
