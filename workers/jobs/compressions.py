"""What a compression is refused for, what it will use, and how a price becomes a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from tenants.kernel.errors import InvalidInput
from tenants.pricing.quotes import QuoteLine, price_now
from workers.assets.models import BaseModel, Dataset, ModelVersion
from workers.assets.selectors import ResolvedModel, model_resolve
from workers.assets.weights import is_quantised, model_config
from workers.engine.compression.candidates import candidates_of
from workers.engine.compression.limits import (
    FAMILIES,
    check_prune,
    check_task,
    check_widths,
    widest_cut,
)
from workers.engine.compression.specs import CompressSpec, TargetSpec
from workers.engine.specs import PRESETS
from workers.jobs.bounds import Range
from workers.jobs.estimates import MOST_TEXTS, line_of

MILLION = Decimal(1_000_000)
FEWEST_ROWS = 3  # two to calibrate with, one to measure on
TEXT_GENERATION, TABULAR = "text_generation", "tabular"
UNTRAINED = frozenset({BaseModel.Kind.TABULAR, BaseModel.Kind.IMAGE, BaseModel.Kind.AUDIO})
# What a million of is sold, and where; all else are predictions.
SOLD = {
    "text_generation": ("tokens.output", "chat.completions"),
    "embeddings": ("tokens.embedded", "embeddings"),
}


@dataclass(frozen=True)
class Use:
    """Tokens of forward passes, and of the recovery's training."""

    evaluated: Range
    trained: Range


def is_compressible(model: ResolvedModel) -> bool:
    """Whether it may be offered to be made smaller."""
    made_for = model.version.spec.get("task", "") if model.version else ""
    try:
        check_model(model, made_for)
    except InvalidInput:
        return False
    return True


def check_model(model: ResolvedModel, task: str) -> None:
    """Refuse what no settings could compress, before its data are read. Raises InvalidInput."""
    version = model.version
    if version is None and (model.base.kind in UNTRAINED or "classification" in task):
        raise InvalidInput(
            f"{model.name} has learned no {task} yet; fine-tune it, and compress the result",
            param="model",
            code="model_not_trained",
        )
    if version is not None and version.over_id is not None:
        raise InvalidInput(
            f"{model.name} is on a compressed model already; compress the adapter that it came "
            "from",
            param="model",
            code="model_not_supported",
        )
    if is_quantised(Path(model.base.path)) or (
        version is not None and version.kind == ModelVersion.Kind.QUANTISED
    ):
        raise InvalidInput(
            f"{model.name} is quantised already; compress the model that it was made from",
            param="model",
            code="model_not_supported",
        )


def check(model: ResolvedModel, settings: CompressSpec, data: Dataset) -> None:
    """Refuse what cannot be compressed so.

    Raises InvalidInput, SpecError.
    """
    cuts = settings.target is not None or not settings.prune.is_nothing
    if cuts and model.base.family not in FAMILIES:
        raise InvalidInput(
            f"models of the family {model.base.family!r} cannot be pruned; known are "
            f"{', '.join(sorted(FAMILIES))}. Quantise it instead",
            param="model",
            code="unsupported_architecture",
        )
    check_task(settings)
    _check_sizes(model, settings, data)
    if data.examples < FEWEST_ROWS:
        raise InvalidInput(
            f"{data.file_id} has {data.examples} rows, too few to calibrate with and to measure "
            f"on; give at least {FEWEST_ROWS}",
            param="file",
            code="too_little_data",
        )


def _check_sizes(model: ResolvedModel, settings: CompressSpec, data: Dataset) -> None:
    """Refuse what a model of its base's shape cannot lose, or what data are too few for.

    A version made of another version may have any shape; the engine sees it. Raises InvalidInput,
    SpecError.
    """
    version = model.version
    if settings.task == TABULAR:
        hidden = (version.spec.get("tabular") or {}).get("hidden") if version else None
        if version is not None and version.kind == ModelVersion.Kind.FULL and hidden:
            sizes = PRESETS[hidden] if isinstance(hidden, str) else hidden
            check_widths(sizes, settings.prune)
        return
    if version is not None and not _has_shape_of_base(version):
        return
    config = model_config(Path(model.base.path))
    check_prune(config, settings.prune)
    needed = widest_cut(config, settings.prune)
    if data.tokens < needed:
        raise InvalidInput(
            f"{data.file_id} has {data.tokens:,} tokens; least squares over {needed:,} inputs "
            "needs at least as many to calibrate with. Give more rows, or set "
            "prune.reconstruct to false",
            param="file",
            code="too_little_data",
        )


def _has_shape_of_base(version: ModelVersion) -> bool:
    if version.kind == ModelVersion.Kind.ADAPTER:
        return True
    return version.kind == ModelVersion.Kind.FULL and version.parent_id is None


def adapters_of(names: Sequence[str], model: ResolvedModel, settings: CompressSpec) -> list[str]:
    """The ids of the adapters to carry over. Raises InvalidInput, NotFound."""
    if not names:
        return []
    if model.version is not None or settings.target is not None or settings.task != TEXT_GENERATION:
        raise InvalidInput(
            "adapters are carried over from their base with given settings; name the base as "
            "model, and leave target out",
            param="adapters",
        )
    return [_adapter(name, model) for name in dict.fromkeys(names)]


def _adapter(name: str, model: ResolvedModel) -> str:
    version = model_resolve(name, param="adapters").version
    if version is None or version.kind != ModelVersion.Kind.ADAPTER:
        raise InvalidInput(f"{name} is no adapter; compress it by itself", param="adapters")
    if version.spec.get("lora", {}).get("use_dora"):
        raise InvalidInput(
            f"{name} is a DoRA, tied to the lengths of its base's rows; compress it by itself",
            param="adapters",
        )
    if version.over_id is not None:
        raise InvalidInput(
            f"{name} was carried over already; give the adapter that it came from",
            param="adapters",
            code="adapter_of_another_base",
        )
    if version.base_id != model.base.id:
        raise InvalidInput(
            f"{name} is an adapter of {version.base_id}, not of {model.base.id}",
            param="adapters",
            code="adapter_of_another_base",
        )
    return version.id


def with_price(
    settings: Mapping[str, Any], model: ResolvedModel, tenant_id: str
) -> tuple[dict[str, Any], dict[str, str] | None]:
    """Settings whose `target.price`, or a rival's, became a share of the dense model's latency.

    A price is what a million generated tokens may cost; the dense model's is what this tenant pays
    now. What serves a token in half the time can be sold for half the price at the same margin.
    Models that write no text are sold by the tokens, patches or cells that they read.
    Returns the settings, and the prices that the share came from. Raises InvalidInput.
    """
    target = settings.get("target")
    if not isinstance(target, Mapping):
        return dict(settings), None
    given = {name: value for name, value in target.items() if name != "price"}
    if target.get("price") is None:  # null is as good as nothing
        return {**settings, "target": given}, None
    wanted = _price(target["price"])
    meter, endpoint = SOLD.get(settings["task"], ("tokens.input", "predictions"))
    dimensions = {"model": model.name, "base": model.base.id, "endpoint": endpoint}
    line = QuoteLine(meter, MILLION, MILLION, MILLION, dimensions)
    dense = price_now(tenant_id, line)
    if dense.amount <= 0:
        raise InvalidInput(
            f"{model.name} has no price now that could be undercut; give target.latency instead",
            param="target.price",
        )
    given.setdefault("latency", float(min(wanted / dense.amount, Decimal(1))))
    prices = {"target": f"{wanted:f}", "dense": f"{dense.amount:f}", "currency": dense.currency}
    return {**settings, "target": given}, prices


def with_budget(
    settings: Mapping[str, Any], model: ResolvedModel, tenant_id: str
) -> dict[str, Any]:
    """Settings whose `recover.budget` became tokens, at what a trained token costs this tenant now.

    The budget is net and in the tenant's currency, for all finalists of a search together; what is
    quoted and held is what those tokens come to. Raises InvalidInput.
    """
    recover = settings.get("recover")
    if not isinstance(recover, Mapping) or recover.get("budget") is None:
        return dict(settings)
    if recover.get("tokens"):
        raise InvalidInput(
            "give recover.budget or recover.tokens, not both", param="recover.budget"
        )
    budget = _money(recover["budget"], "recover.budget", "is no budget")
    line = line_of("tokens.trained", Range(*[int(MILLION)] * 3), model)
    price = price_now(tenant_id, line).amount
    if price <= 0:
        raise InvalidInput(
            f"training {model.name} costs nothing now; give recover.tokens instead",
            param="recover.budget",
        )
    tokens = int(budget / price * MILLION) // _finalists(settings.get("target"))
    if tokens < 1:
        raise InvalidInput(
            f"{budget:f} buys no token: a million cost {price:f}; give more", param="recover.budget"
        )
    kept = {name: value for name, value in recover.items() if name != "budget"}
    return {**settings, "recover": {**kept, "tokens": tokens}}


def _finalists(target: Any) -> int:
    """How many models of a search recover; a number that is wrong is refused with the settings."""
    found = target.get("finalists", TargetSpec.finalists) if isinstance(target, Mapping) else 1
    return max(found, 1) if isinstance(found, int) else 1


def _price(given: Any) -> Decimal:
    return _money(given, "target.price", "is no price of a million tokens")


def _money(given: Any, param: str, what: str) -> Decimal:
    """Raises InvalidInput."""
    try:
        amount = Decimal(given if isinstance(given, str) else repr(given))
    except (InvalidOperation, TypeError):
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 < amount < MILLION:
        raise InvalidInput(
            f'{str(given)[:40]!r} {what}; give a decimal text above 0, such as "0.25"', param=param
        )
    return amount


def tokens_of(settings: CompressSpec, data: Dataset, whole: Range, validation: Range | None) -> Use:
    """What each meter will count. `whole` and `validation` are tokens of one pass over the files.

    The most that held-out and calibration rows can have is bounded by their number and the longest
    row, and by the file.
    """
    longest = min(data.longest, settings.max_length) * MOST_TEXTS.get(settings.task, 1)
    held_rows = max(1, round(data.examples * settings.held_out))
    held = validation or _some(whole, data.examples, held_rows, longest)
    calibration = _some(whole, data.examples, settings.calibration_rows, longest)
    recover = settings.recover.tokens
    # a budget below one example still buys one
    trained = Range(0, recover, max(recover, longest) if recover else 0)
    if settings.target is None:
        cuts = 0 if settings.prune.is_nothing else settings.prune.rounds
        return Use(_sum(held.times(2), calibration.times(cuts)), trained)
    candidates = candidates_of(settings.target)
    most = min(settings.target.finalists, len(candidates))
    cuts = len({(c.ratio, c.scorer) for c in candidates if c.ratio})
    proxies = _some(whole, data.examples, settings.proxy_calibration_rows, longest).times(cuts)
    measured = _sum(held.times(1 + most + len(candidates)), calibration.times(most))
    evaluated = _sum(measured, proxies)
    return Use(Range(0, evaluated.expected, evaluated.high), trained.times(most))


def _some(whole: Range, of: int, rows: int, longest: int) -> Range:
    """Tokens of `rows` rows out of `of`."""
    rows = min(rows, of)
    expected = whole.expected * rows // of
    high = min(whole.high, rows * longest)
    return Range(0, min(expected, high), high)


def _sum(first: Range, second: Range) -> Range:
    return Range(first.low + second.low, first.expected + second.expected, first.high + second.high)
