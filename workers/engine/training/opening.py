"""From a member's handles to a session ready to train: base, method, data."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from workers.engine import devices
from workers.engine.data.dataset import Reader
from workers.engine.data.shards import Shards
from workers.engine.errors import DataError
from workers.engine.kernels.block import fast_blocks
from workers.engine.methods.lora.method import Seat
from workers.engine.methods.method import method_open
from workers.engine.models import config_of, context_length, model_load, parameter_count
from workers.engine.profiles import Shape, flops_per_token
from workers.engine.protocol import Handle, Member, Progress, Work
from workers.engine.training.activation import checkpointing
from workers.engine.training.member import Run
from workers.engine.training.session import Session
from workers.engine.training.snapshots import Origin


class Base:
    """The base model of a pass: one frozen copy for all adapters, an own one per full fine-tune."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self._shared: nn.Module | None = None

    def model(self, method: str) -> nn.Module:
        """The model that a member of this method trains on.

        Raises:
            ModelError: the base cannot be loaded.
        """
        if method == "full":
            return self._load()
        if self._shared is None:
            self._shared = self._load()
        return self._shared

    def _load(self) -> nn.Module:
        numerics = self.work.numerics
        return model_load(self.work.base.path, dtype=numerics.dtype, device=numerics.device)


@contextmanager
def session_open(base: Base, member: Member, progress: Progress) -> Iterator[Session]:
    """Everything that `member` needs to train with the model to itself, put back afterwards.

    Raises:
        EngineError: the base, the data, an earlier adapter or the settings cannot be used.
    """
    model, mode = base.model(member.spec.method), member.spec.activation_checkpointing
    with (
        fast_blocks(model, selective=mode == "selective"),
        checkpointing(model, mode),
        seated(base, member, progress, model) as session,
    ):
        yield session


@contextmanager
def seated(
    base: Base, member: Member, progress: Progress, model: nn.Module, seat: Seat | None = None
) -> Iterator[Session]:
    """A member's own part of a pass over `model`: data, trainable weights, position.

    Raises:
        EngineError: the base, the data, an earlier adapter or the settings cannot be used.
    """
    work, spec = base.work, member.spec
    flops = flops_per_token(spec, _shape(model))
    scratch = work.scratch / member.key
    start = member.adapter.path if member.adapter else None
    with method_open(model, spec, work.base.path, start, seat=seat) as method:
        data = _shards(base, model, member, member.data, scratch / "data" / "train")
        validation = (
            _validation_shards(base, model, member, member.validation, scratch)
            if member.validation
            else None
        )
        yield Session(
            run=Run(member, method, data, validation, work.numerics.device),
            progress=progress,
            scratch=scratch,
            origin=_origin(work, member, together=seat is not None),
            flops=flops,
        )


def _shards(base: Base, model: nn.Module, member: Member, data: Handle, folder: Path) -> Shards:
    config, spec = config_of(model), member.spec
    reader = Reader.load(
        base.work.base.path,
        vocabulary=config.vocab_size,
        context=context_length(config),
    )
    return reader.shards(data.path, folder, policy=spec.length_policy, max_length=spec.max_length)


def _validation_shards(
    base: Base, model: nn.Module, member: Member, data: Handle, scratch: Path
) -> Shards:
    try:
        return _shards(base, model, member, data, scratch / "data" / "validation")
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
    )


def _shape(model: nn.Module) -> Shape:
    text = config_of(model)
    return Shape(parameter_count(model), text.num_hidden_layers, text.hidden_size, text.vocab_size)
