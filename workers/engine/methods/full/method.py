"""Full fine-tuning: every weight changes; what is kept is a whole Hugging Face folder."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Self

from torch import Tensor, nn

from workers.engine.export.huggingface import folder_save
from workers.engine.export.merged import merge_into
from workers.engine.methods.lora.adapter import adapter_load
from workers.engine.methods.lora.layer import DropoutClock
from workers.engine.protocol import HUGGING_FACE_MODEL
from workers.engine.specs import FineTuneSpec


class FullMethod:
    """All weights of `model`, this member's own copy; `start` is an adapter to merge in first."""

    media_type = HUGGING_FACE_MODEL

    def __init__(
        self, model: nn.Module, spec: FineTuneSpec, base: Path, start: Path | None
    ) -> None:
        self.model, self.base = model, base
        self.clock = DropoutClock(spec.seed)
        if start:
            merge_into(model, adapter_load(start))
        model.requires_grad_(requires_grad=True)

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The trained tensors by stable name; tied weights appear once."""
        return dict(self.model.named_parameters())

    def save(self, folder: Path, weights: Mapping[str, Tensor] | None = None) -> None:
        """Write a Hugging Face folder, of these `weights` if given; it appears whole or not."""
        folder_save(folder, self.model, self.base, weights)

    def alone(self) -> AbstractContextManager[None]:
        """The model is this member's alone anyway."""
        return nullcontext()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.model.requires_grad_(requires_grad=False)
