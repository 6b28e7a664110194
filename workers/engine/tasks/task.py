"""What the training loop needs of a task: data to micro-batches, a model with its head, a loss,
metrics.

The loop knows none of them apart. It asks for the micro-batches of an update, divides each one's
summed loss by the update's whole weight, and so accumulates the exact gradient of the mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from workers.engine.data.packing import Ints
from workers.engine.data.shards import Sizes
from workers.engine.protocol import Numerics
from workers.engine.tasks.scores import Score


class Data(Protocol):
    """Examples on disk; `lengths` are their tokens, which micro-batches are planned by."""

    @property
    def sizes(self) -> Sizes: ...

    @property
    def lengths(self) -> Ints: ...

    def __len__(self) -> int: ...


class MicroBatch(Protocol):
    """One forward pass over `examples` of together `tokens`.

    `weight` is how many terms its summed loss has: learned tokens, labels, pairs.
    """

    @property
    def examples(self) -> int: ...

    @property
    def tokens(self) -> int: ...

    @property
    def weight(self) -> int: ...


class Task(Protocol):
    """One kind of learning, opened on one base and one set of settings.

    Training data are read before the model is opened: they may decide its head (how many classes).
    """

    shares_base: bool  # one frozen copy of the base serves every member with an adapter
    is_packed: bool  # a pass is one row of sequences end to end, as `kernels.block` reads them
    head: tuple[str, ...]  # modules that are new, and trained whole whatever the method

    def read(self, path: Path, folder: Path, *, training: bool) -> Data:
        """The examples of a file, stored in `folder`.

        Raises:
            DataError: a row cannot be used.
        """

    def model(self, numerics: Numerics) -> nn.Module:
        """The base with this task's head: frozen, in evaluation mode, on its device.

        Raises:
            ModelError: the base cannot be loaded for this task.
        """

    def micro_batches(
        self, data: Any, chosen: Sequence[int], budget: int, *, packing: bool
    ) -> list[Any]:
        """The `chosen` examples, in passes of at most `budget` tokens where they can be split."""

    def loss(self, model: nn.Module, batch: Any, device: str) -> tuple[Tensor, Mapping[str, Any]]:
        """The loss summed over the batch's weight, and what `metrics` needs besides, summed too.

        The latter are tensors without gradient.
        """

    def scores(
        self,
        model: nn.Module,
        data: Any,
        budget: int,
        device: str,
        *,
        chosen: Sequence[int] | None = None,
    ) -> Iterator[Score]:
        """One score per forward pass, in order; their sum is that of `data`, or of the `chosen`."""

    def metrics(self, score: Score) -> dict[str, float]:
        """The figures of a sum of scores, by name; `loss` among them."""

    def flops_per_token(self, model: nn.Module, *, training: bool) -> float:
        """Floating-point operations on one token, with or without the backward pass."""


class Teaches(Task, Protocol):
    """A task whose model another one can learn from, by its outputs."""

    def outputs(self, model: nn.Module, batch: Any, device: str) -> Tensor:
        """(rows, n): logits, vectors or quantities, of one micro-batch."""

    def loss_of(self, outputs: Tensor, batch: Any) -> tuple[Tensor, Mapping[str, Any]]:
        """As `loss`, from outputs that are there already."""


@runtime_checkable
class Prepares(Protocol):
    """A task that asks the model something of its data before it is trained."""

    def prepare(self, model: nn.Module, data: Any, budget: int, device: str) -> Iterator[Score]:
        """One score per forward pass, for its tokens; what was found is kept with `data`."""


@runtime_checkable
class HasBaseline(Protocol):
    """A task that can be guessed at without any learning."""

    def baseline(self, data: Any, validation: Any) -> Mapping[str, float]:
        """Some of the `metrics` of held-out data, guessed from the training data's labels alone."""
