"""The processes that train one member together, as its run sees them: here, this one alone.

`distributed.sharded.Sharded` is the other kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from workers.engine.data.packing import Ints
from workers.engine.tasks.scores import Score


class Ranks:
    """One process that holds all weights and trains on all examples."""

    number, count = 0, 1

    @property
    def is_first(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.number == 0

    def spread(self, model: nn.Module) -> None:
        """Leave each process its part of the model's weights."""

    def parts(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What this process trains of each parameter."""
        return dict(parameters)

    def part(self, whole: Tensor) -> Tensor:
        """This process's part of a tensor that is laid out like a parameter."""
        return whole

    def wholes(self, parts: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What the first process gets of tensors laid out like the parameters of their names.

        Every process has to ask for them; the others get nothing.
        """
        return parts

    def gather_gradients(self) -> None:
        """Hand each part the gradient that the backward passes have left with its parameter."""

    def share(self, chosen: Sequence[int], lengths: Ints) -> list[int]:
        """Which examples of an update are this process's, by the tokens of each (`lengths`)."""
        del lengths
        return list(chosen)

    def norm(self, own: float) -> float:
        """The norm of a vector of which each process holds a part of norm `own`."""
        return own

    def sum(self, own: int) -> int:
        """The sum over all processes."""
        return own

    def most(self, own: int) -> int:
        """The largest of all processes'."""
        return own

    def total(self, own: Score) -> Score:
        """The sum of all processes' scores."""
        return own


ALONE = Ranks()
