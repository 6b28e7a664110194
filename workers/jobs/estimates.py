"""What a job will take, before it is queued: tokens, seconds, memory. Reads the base's folder."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tenants.kernel.errors import BreakwaterError
from tenants.pricing.quotes import QuoteLine
from workers.assets.models import BaseModel, Dataset
from workers.assets.selectors import ResolvedModel
from workers.engine.errors import EngineError
from workers.engine.profiles import DataSize, Estimate, Profile, Shape, estimate
from workers.engine.specs import FineTuneSpec
from workers.jobs.bounds import Measured, Range, tokens_of_a_pass

MOST_TEXTS = {"embeddings": 3, "preference": 2}  # of one example, each as long as the limit allows


def fine_tune_estimate(
    settings: FineTuneSpec,
    device: str,
    base: BaseModel,
    training: Dataset,
    validation: Dataset | None,
) -> Estimate | None:
    """Time and memory, where this base's throughput has been measured for such work there."""
    if not base.profile or settings.task != "text_generation":
        return None
    profile = Profile(**base.profile)
    if device not in {"any", profile.worker_class}:
        return None
    size = DataSize(
        examples=training.examples,
        tokens=training.tokens,
        loss_tokens=training.loss_tokens,
        validation_tokens=validation.tokens if validation else 0,
    )
    try:
        return estimate(settings, Shape.of_folder(Path(base.path)), size, profile)
    except EngineError as error:
        raise BreakwaterError(f"the folder of {base.id} cannot be read: {error}") from error


def tokens_of(dataset: Dataset, policy: str, max_length: int, base: BaseModel) -> Range:
    """Tokens of one pass over a dataset, under a length policy."""
    texts = dataset.examples * MOST_TEXTS.get(dataset.task, 1)
    measured = Measured(texts, dataset.tokens, dataset.loss_tokens, dataset.longest)
    return tokens_of_a_pass(measured, policy=policy, limit=min(max_length, base.context_length))


def line_of(meter: str, tokens: Range, model: ResolvedModel) -> QuoteLine:
    """What a quote says of so many tokens of one meter."""
    return QuoteLine(
        meter=meter,
        low=Decimal(tokens.low),
        expected=Decimal(tokens.expected),
        high=Decimal(tokens.high),
        dimensions={"model": model.name, "base": model.base.id},
    )
