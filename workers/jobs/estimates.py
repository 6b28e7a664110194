"""What a job will take, before it is queued: tokens, seconds, memory.

By what was measured of its base, or of one like it.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError

from tenants.kernel.errors import BreakwaterError
from tenants.pricing.quotes import QuoteLine
from workers.assets.models import BaseModel, Dataset
from workers.assets.selectors import ResolvedModel
from workers.engine.errors import EngineError
from workers.engine.methods.lora.fits import refuse_rank, sizes_stored
from workers.engine.profiles import DataSize, Estimate, Profile, estimate, nearest, profiles_read
from workers.engine.shapes import TABLE, Shape, table_shape
from workers.engine.specs import PRESETS, FineTuneSpec
from workers.engine.unfit import gpu_setting
from workers.jobs.bounds import Measured, Range, tokens_of_a_pass

MOST_TEXTS = {"embeddings": 3, "preference": 2}  # of one example, each as long as the limit allows
ANY = "any"  # the cheapest class that can do it, which today is measured on a CPU


def fine_tune_estimate(
    settings: FineTuneSpec,
    device: str,
    base: BaseModel,
    training: Dataset,
    validation: Dataset | None,
) -> Estimate | None:
    """Time and memory on `device`; None where nothing like it was measured there."""
    try:
        wanted = base_shape(base)
    except EngineError as error:
        raise BreakwaterError(f"the folder of {base.id} cannot be read: {error}") from error
    worker_class = "cpu" if device == ANY else device
    profile = nearest(_measured(base.kind, worker_class, settings), wanted)
    if profile is None:
        return None
    if gpu_setting(settings):  # profiles are measured without
        profile = profile.less_sure()
    size = DataSize(
        examples=training.examples,
        tokens=training.tokens,
        loss_tokens=training.loss_tokens,
        validation_tokens=validation.tokens if validation else 0,
        validation_examples=validation.examples if validation else 0,
    )
    shape = _network(settings, training) if base.kind == BaseModel.Kind.TABULAR else wanted
    return estimate(settings, shape, size, profile)


def _network(settings: FineTuneSpec, training: Dataset) -> Shape:
    """The network that is made for a table."""
    hidden = settings.tabular.hidden
    columns = training.tokens // max(training.examples, 1)
    return table_shape(PRESETS[hidden] if isinstance(hidden, str) else hidden, columns)


def base_shape(base: BaseModel) -> Shape:
    """The sizes that a base's cost depends on. Raises ModelError for an unreadable folder."""
    return TABLE if base.kind == BaseModel.Kind.TABULAR else _shape(base.path, base.sha256)


def adapter_check(settings: FineTuneSpec, base: BaseModel) -> None:
    """Refuse an adapter that the base has no such layers for, or no room in them for its rank.

    Raises SpecError; BreakwaterError for an unreadable folder.
    """
    try:
        sizes = _matrices(base.path, base.sha256)
    except (OSError, SafetensorError) as error:
        raise BreakwaterError(f"the folder of {base.id} cannot be read: {error}") from error
    if sizes:  # else it is laid out in a way of its own, which the engine will look into
        refuse_rank(sizes, settings.lora)


@lru_cache(maxsize=64)
def _matrices(path: str, sha256: str) -> dict[str, tuple[int, int]]:
    del sha256  # names the bytes
    return sizes_stored(Path(path))


@lru_cache(maxsize=64)
def _shape(path: str, sha256: str) -> Shape:
    del sha256  # names the bytes
    return Shape.of_folder(Path(path))


def _measured(kind: str, worker_class: str, settings: FineTuneSpec) -> dict[Shape, Profile]:
    """What was measured on that class of such fine-tunes, by the bases' shapes."""
    found: dict[Shape, Profile] = {}
    for base in BaseModel.objects.filter(kind=kind).exclude(profile={}):
        key = (worker_class, settings.task, settings.method)
        profile = profiles_read(base.profile).get(key)
        if profile is not None:
            try:
                found[base_shape(base)] = profile
            except EngineError:  # gone since; it says nothing of the others
                continue
    return found


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
