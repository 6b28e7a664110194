"""From a member's handles to a session ready to train: base, method, data."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from torch import nn

from workers.engine import devices
from workers.engine.compression.quantise.files import quantised_config
from workers.engine.errors import DataError, ModelError
from workers.engine.kernels.block import fast_blocks
from workers.engine.methods.lora.adapter import layers_sizes
from workers.engine.methods.lora.bank import AdapterBank
from workers.engine.methods.lora.fits import refuse_rank
from workers.engine.methods.lora.method import Seat
from workers.engine.methods.lora.quantised import nf4_load
from workers.engine.methods.method import method_open
from workers.engine.profiles import can_offload, resident_blocks
from workers.engine.protocol import Handle, Member, Progress, Work
from workers.engine.shapes import Shape
from workers.engine.specs import NF4, FineTuneSpec
from workers.engine.tasks.opening import task_open
from workers.engine.tasks.task import Data, Task
from workers.engine.training.activation import checkpointing
from workers.engine.training.member import Run
from workers.engine.training.offload import offloaded_load
from workers.engine.training.ranks import ALONE, Ranks
from workers.engine.training.session import Session
from workers.engine.training.snapshots import Origin


class Base:
    """The base model of a pass: one frozen copy for all adapters that want it held in the same way,
    an own one per full fine-tune.
    """

    def __init__(self, work: Work, ranks: Ranks = ALONE) -> None:
        self.work, self.ranks = work, ranks
        numerics = work.numerics
        # what is spread goes to the devices in parts; whole it need not fit on one
        self._place = replace(numerics, device="cpu") if ranks.count > 1 else numerics
        self._shared: dict[str, nn.Module] = {}  # by `quantise_base`
        self._offloaded = (0, 0)  # of the shared model

    def model(self, task: Task, spec: FineTuneSpec) -> nn.Module:
        """The model that a member with this task and these settings trains on.

        Raises:
            ModelError: the base cannot be loaded, or is quantised.
        """
        folder = self.work.base.path
        if quantised_config(folder):
            raise ModelError(
                f"{folder.name} is quantised, and its rounded weights cannot learn; fine-tune the "
                "model that it was made from."
            )
        if spec.method == "full":  # small updates need exact weights; `Precision` casts products
            dtype = "float64" if self._place.dtype == "float64" else "float32"
            return task.model(replace(self._place, dtype=dtype))
        if not task.shares_base:
            return task.model(self._place)
        held = spec.quantise_base
        if held not in self._shared:
            self._shared[held] = self._open(task, spec)
        elif self.offloaded(self._shared[held])[0] and not can_offload(spec):
            return task.model(self._place)
        return self._shared[held]

    def offloaded(self, model: nn.Module) -> tuple[int, int]:
        """How many blocks of one of its models are not kept in memory, of all."""
        return self._offloaded if model is self._shared.get("none") else (0, 0)

    def _open(self, task: Task, spec: FineTuneSpec) -> nn.Module:
        """The frozen base, as much of it in memory as fits."""
        folder, place = self.work.base.path, self._place
        if spec.quantise_base == NF4:
            return nf4_load(folder, dtype=place.dtype, device=place.device)
        room = devices.room(place)
        if not room or not can_offload(spec):
            return task.model(self._place)
        shape = Shape.of_folder(folder)
        resident = resident_blocks(spec, shape, room)
        if resident == shape.layers:
            return task.model(self._place)
        model = offloaded_load(folder, self._place, resident=resident)
        self._offloaded = (shape.layers - resident, shape.layers)
        return model


@contextmanager
def session_open(base: Base, member: Member, progress: Progress) -> Iterator[Session]:
    """Everything that `member` needs to train with the model to itself, put back afterwards.

    Raises:
        EngineError: the base, the data, an earlier adapter or the settings cannot be used.
    """
    with seated(base, member, progress) as session:
        mode, run = member.spec.activation_checkpointing, session.run
        fast = fast_blocks(run.model, selective=mode == "selective")
        with fast if run.task.is_packed else nullcontext(), checkpointing(run.model, mode):
            yield session


@contextmanager
def seated(
    base: Base, member: Member, progress: Progress, bank: AdapterBank | None = None
) -> Iterator[Session]:
    """A member's own part of a pass: task, data, trainable weights, position.

    With a `bank` its adapter joins the others on the bank's model.

    Raises:
        EngineError: the base, the data, an earlier adapter or the settings cannot be used.
    """
    work, spec = base.work, member.spec
    scratch = work.scratch / member.key
    start = member.adapter.path if member.adapter else None
    task = task_open(work.base.path, spec)
    data = task.read(member.data.path, scratch / "data" / "train", training=True)
    validation = _validation(task, member.validation, scratch) if member.validation else None
    model = bank.model if bank else base.model(task, spec)
    flops = task.flops_per_token(model, training=True)
    if spec.method == "lora" and start is None:
        refuse_rank(layers_sizes(model), spec.lora)
    seat = Seat(bank, member.key) if bank else None
    with method_open(model, spec, work.base.path, start, seat=seat) as method:
        base.ranks.spread(model)
        yield Session(
            run=Run(member, task, method, data, validation, work.numerics, base.ranks),
            progress=progress,
            scratch=scratch,
            origin=_origin(work, member, together=bank is not None),
            flops=flops,
            offloaded=base.offloaded(model),
        )


def _validation(task: Task, data: Handle, scratch: Path) -> Data:
    try:
        return task.read(data.path, scratch / "data" / "validation", training=False)
    except DataError as error:
        raise DataError(f"in the validation file, {error}") from error


def _origin(work: Work, member: Member, *, together: bool) -> Origin:
    """Rounding depends on who else is in the pass, so no two passes of a cohort are bit-equal."""
    how = {"pass": uuid.uuid4().hex} if together else {}
    return Origin(
        base=work.base.sha256,
        data=member.data.sha256,
        spec=member.spec.to_dict(),
        fingerprint=devices.fingerprint(work.numerics) | how,
        is_shared=together,
    )
