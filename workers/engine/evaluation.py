"""How well a model predicts held-out text: loss, perplexity, token accuracy."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from workers.engine import devices
from workers.engine.data.dataset import Reader
from workers.engine.data.packing import pack, plan
from workers.engine.data.shards import Shards
from workers.engine.errors import EngineError
from workers.engine.export.merged import merge_into
from workers.engine.losses import loss_sum
from workers.engine.methods.lora.adapter import adapter_load
from workers.engine.models import (
    Batch,
    config_of,
    context_length,
    logits_of,
    model_load,
    parameter_count,
)
from workers.engine.profiles import FORWARD
from workers.engine.protocol import Command, EvaluateWork, FailureKind, Outcome, Progress, Result

GROUP = 64  # examples planned together
STOPS = {Command.CANCEL: Outcome.CANCELLED, Command.PAUSE: Outcome.PAUSED}


@dataclass(frozen=True)
class Score:
    """Sums over the learned tokens of `examples` sequences of together `tokens` tokens."""

    loss_sum: float = 0.0
    hits: int = 0
    loss_tokens: int = 0
    tokens: int = 0
    examples: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(
            self.loss_sum + other.loss_sum,
            self.hits + other.hits,
            self.loss_tokens + other.loss_tokens,
            self.tokens + other.tokens,
            self.examples + other.examples,
        )

    def metrics(self, prefix: str = "") -> dict[str, float]:
        """Mean loss in nats, its exponential, and the share of tokens guessed right.

        The exponential, perplexity, is infinite past 700 nats.
        """
        loss = self.loss_sum / max(self.loss_tokens, 1)
        return {
            f"{prefix}loss": loss,
            f"{prefix}perplexity": math.exp(loss) if loss < 700 else math.inf,
            f"{prefix}token_accuracy": self.hits / max(self.loss_tokens, 1),
        }


def scores(
    model: nn.Module, shards: Shards, micro_batch_tokens: int, device: str
) -> Iterator[Score]:
    """One score per forward pass over `shards`, in order; their sum is the whole."""
    for start in range(0, len(shards), GROUP):
        group = range(start, min(start + GROUP, len(shards)))
        for places in plan(
            [int(shards.lengths[i]) for i in group], micro_batch_tokens, packing=True
        ):
            batch = Batch.of(pack([shards[start + place] for place in places]), device)
            with torch.inference_mode():
                logits = logits_of(model, batch)
                yield Score(
                    loss_sum=loss_sum(logits, batch.labels).item(),
                    hits=int((logits.argmax(-1) == batch.labels).sum()),
                    loss_tokens=len(batch.labels),
                    tokens=batch.ids.shape[1],
                    examples=len(places),
                )


def evaluate(work: EvaluateWork, progress: Progress) -> Result:
    """Measure a base model, or a base with an adapter, on a data file.

    Beats report examples done; `CANCEL` and `PAUSE` both end it at the next beat, `PAUSE` without
    anything to resume.
    """
    devices.settle(work.numerics)
    try:
        return _evaluate(work, progress)
    except EngineError as error:
        kind = FailureKind.CUSTOMER if error.customers else FailureKind.PLATFORM
        return Result(work.key, Outcome.FAILED, failure=kind, error=str(error))


def _evaluate(work: EvaluateWork, progress: Progress) -> Result:
    device, spec = work.numerics.device, work.spec
    model = model_load(work.base.path, dtype=work.numerics.dtype, device=device)
    if work.adapter:
        merge_into(model, adapter_load(work.adapter.path))
    reader = Reader.load(
        work.base.path,
        vocabulary=config_of(model).vocab_size,
        context=context_length(config_of(model)),
    )
    shards = reader.shards(
        work.data.path, work.scratch / "data", policy=spec.length_policy, max_length=spec.max_length
    )
    flops = FORWARD * parameter_count(model)
    total, begin, outcome = Score(), time.perf_counter(), Outcome.SUCCEEDED
    for score in scores(model, shards, spec.micro_batch_tokens, device):
        total += score
        cursor = {"epoch": 0, "example": total.examples}
        command = progress.beat(work.key, total.examples, len(shards), cursor, total.metrics())
        if command in STOPS:
            outcome = STOPS[command]
            break
    seconds = time.perf_counter() - begin
    progress.used(work.key, 0, 0, total.examples, total.tokens, seconds, flops * total.tokens)
    return Result(work.key, outcome, metrics={**total.metrics(), "tokens": float(total.tokens)})
