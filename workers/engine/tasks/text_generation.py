"""Supervised text generation: predict the learned tokens of packed sequences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workers.engine.data.dataset import Reader
from workers.engine.data.packing import Pack, pack, plan
from workers.engine.data.shards import Shards
from workers.engine.losses import batch_loss, loss_sum
from workers.engine.models import (
    Batch,
    config_load,
    context_length,
    logits_of,
    model_load,
    parameter_count,
    shape_of,
)
from workers.engine.profiles import FORWARD, flops_per_token
from workers.engine.protocol import Numerics
from workers.engine.specs import EvaluateSpec, FineTuneSpec
from workers.engine.tasks.scores import Score, scores_of


class TextGeneration:
    """Chats, completions and texts; the loss is the cross-entropy of learned tokens, in nats."""

    shares_base = is_packed = True
    head: tuple[str, ...] = ()

    def __init__(self, base: Path, spec: FineTuneSpec | EvaluateSpec) -> None:
        self.base, self.spec = base, spec

    @cached_property
    def _reader(self) -> Reader:
        config = config_load(self.base)
        return Reader.load(self.base, vocabulary=config.vocab_size, context=context_length(config))

    def read(self, path: Path, folder: Path, *, training: bool) -> Shards:  # noqa: ARG002
        return self._reader.shards(
            path, folder, policy=self.spec.length_policy, max_length=self.spec.max_length
        )

    def model(self, numerics: Numerics) -> nn.Module:
        return model_load(self.base, dtype=numerics.dtype, device=numerics.device)

    def micro_batches(
        self, data: Shards, chosen: Sequence[int], budget: int, *, packing: bool
    ) -> list[Pack]:
        lengths = [int(data.lengths[index]) for index in chosen]
        return [
            pack([data[int(chosen[place])] for place in group])
            for group in plan(lengths, budget, packing=packing)
        ]

    def loss(self, model: nn.Module, batch: Pack, device: str) -> tuple[Tensor, Mapping[str, Any]]:
        loss, hits = batch_loss(model, Batch.of(batch, device))
        return loss, {"hits": hits}

    def outputs(self, model: nn.Module, batch: Pack, device: str) -> Tensor:
        return logits_of(model, Batch.of(batch, device))

    def loss_of(self, outputs: Tensor, batch: Pack) -> tuple[Tensor, Mapping[str, Any]]:
        labels = torch.from_numpy(batch.labels).to(outputs.device)
        hits = (outputs.detach().argmax(-1) == labels).sum()
        return loss_sum(outputs, labels), {"hits": hits}

    def scores(
        self,
        model: nn.Module,
        data: Shards,
        budget: int,
        device: str,
        *,
        chosen: Sequence[int] | None = None,
    ) -> Iterator[Score]:
        return scores_of(self, model, data, budget, device, chosen=chosen)

    def metrics(self, score: Score) -> dict[str, float]:
        """Mean loss, its exponential, and the share of tokens guessed right.

        The exponential, perplexity, is infinite past 700 nats.
        """
        loss = score.loss
        return {
            "loss": loss,
            "perplexity": math.exp(loss) if loss < 700 else math.inf,
            "token_accuracy": score.sums.get("hits", 0) / max(score.weight, 1),
        }

    def flops_per_token(self, model: nn.Module, *, training: bool) -> float:
        if training and isinstance(self.spec, FineTuneSpec):
            return flops_per_token(self.spec, shape_of(model))
        return FORWARD * parameter_count(model)
