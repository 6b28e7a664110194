"""What is checked of a job before it is queued, kind by kind.

Each check returns the complete spec, what the job needs, and what it will use. Words come before
data: whoever waits for a large file to be read is not told of a slip only then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tenants.accounts.actors import Actor
from tenants.kernel.errors import InvalidInput
from workers.assets.datasets import refuse_too_long
from workers.assets.models import BaseModel, Dataset, ModelVersion
from workers.assets.readings import task_choose
from workers.assets.selectors import ResolvedModel, model_resolve
from workers.assets.services import dataset_require_valid, dataset_validate
from workers.engine.compression.specs import LENGTH_POLICY, CompressSpec
from workers.engine.hyperparameters import resolve_auto
from workers.engine.profiles import can_offload, memory_least
from workers.engine.specs import EvaluateSpec, FineTuneSpec, SpecError, TabularSpec
from workers.engine.unfit import TRAINED_WHOLE, refuse_unfit
from workers.jobs import campaigns, compressions, pipelines, procurements
from workers.jobs.bounds import Range
from workers.jobs.checked import Checked, Choice
from workers.jobs.cohorts import cohort_key_of
from workers.jobs.estimates import adapter_check, base_shape, fine_tune_estimate, line_of, tokens_of
from workers.jobs.gpu_settings import device_for
from workers.jobs.parents import settings_kept
from workers.jobs.placement import Needs, pins
from workers.jobs.states import Kind

_SUFFIX = 64  # characters; OpenAI's limit
TEXT_GENERATION, PREFERENCE = "text_generation", "preference"
LORA = "lora"
SUPERVISED, DPO = "supervised", "dpo"  # OpenAI's names of methods
SHORTEST = 2  # tokens that a length may be limited to
_HYPERPARAMETERS = ("n_epochs", "batch_size", "learning_rate_multiplier")
# Settings that may be left out, or be "auto".
_LEFT_TO_US = ("epochs", "batch_size", "learning_rate", "max_length")


def checked(kind: Kind, *, actor: Actor, spec: Mapping[str, Any]) -> Checked:
    """Return the complete spec, with the device and the deadline where they were asked for.

    Raises InvalidInput with the field in `param`, NotFound, DatasetBeingRead.
    """
    check = _CHECKS.get(kind)
    if check is None:
        raise InvalidInput(f"jobs of kind {kind.value!r} cannot be submitted yet", param="kind")
    try:
        found = check(actor, spec)
    except SpecError as error:
        raise InvalidInput(str(error), param=error.field, code="invalid_hyperparameters") from error
    return replace(found, spec=found.spec | pins(spec))


def _fine_tune(actor: Actor, given: Mapping[str, Any]) -> Checked:
    """A fine-tune's spec from model, training_file_id and what may come with them.

    That is validation_file_id, suffix, settings, seed, method, device, deadline_s and
    requested_hyperparameters ("auto" or numbers).
    """
    model = model_resolve(str(given["model"]))
    asked = _by_method(given)
    asked["task"] = _task(model, asked)
    requested = dict(given.get("requested_hyperparameters") or {})
    asked = _fine_tune_asked({**given, "settings": asked}, requested, model)
    training = _valid_dataset(actor, given["training_file_id"], model, asked, "training_file")
    validation = _optional_dataset(actor, given.get("validation_file_id"), model, asked)
    settings, chosen = _fine_tune_settings(asked, requested, model, training)
    for dataset, param in ((training, "training_file"), (validation, "validation_file")):
        if dataset is not None:
            _refuse_too_long(dataset, settings, model.base, param)
    device = device_for(settings, str(given.get("device") or "any"))
    spec = {
        "base_id": model.base.id,
        "model": model.name,
        "parent_id": model.version.id if model.version else None,
        "training_file_id": training.file_id,
        "validation_file_id": validation.file_id if validation else None,
        "dataset_id": training.id,
        "validation_dataset_id": validation.id if validation else None,
        "suffix": _suffix(given.get("suffix")),
        "settings": settings.to_dict(),
        "method": DPO if settings.task == PREFERENCE else SUPERVISED,
        "requested_hyperparameters": requested,
        **pins({"device": device}),
    }
    deadline = given.get("deadline_s")
    expected = fine_tune_estimate(settings, device, model.base, training, validation)
    tokens = tokens_of(training, settings.length_policy, settings.max_length, model.base)
    lines = (line_of("tokens.trained", tokens.times(settings.epochs), model),)
    update = tokens.expected / training.examples * min(settings.batch_size, training.examples)
    done = Checked(
        spec,
        Needs(device=device, deadline_s=deadline),
        lines,
        cohort_key=cohort_key_of(model, settings, update),
        update_tokens=update,
        chosen=chosen,
    )
    if expected is None:
        return done
    high = expected.memory_bytes_high
    least = None
    if can_offload(settings):
        least = high - expected.memory_bytes + memory_least(settings, base_shape(model.base))
    needs = Needs(device, high, expected.seconds, deadline, least)
    seconds = (expected.seconds_low, expected.seconds, expected.seconds_high)
    return replace(done, needs=needs, seconds=seconds)


def _fine_tune_asked(
    given: Mapping[str, Any], requested: Mapping[str, Any], model: ResolvedModel
) -> dict[str, Any]:
    """The settings that were asked for, and those that a version goes on with, each by itself
    right. Raises InvalidInput, SpecError.
    """
    settings = dict(given["settings"])
    if "seed" in given and given["seed"] is not None:
        settings["seed"] = given["seed"]
    settings |= settings_kept(model, settings)
    unknown = set(requested) - set(_HYPERPARAMETERS)
    if unknown:
        raise InvalidInput(
            f"unknown hyperparameter {min(unknown)!r}; known are {', '.join(_HYPERPARAMETERS)}",
            param="hyperparameters",
        )
    if settings["task"] in TRAINED_WHOLE:
        settings.setdefault("method", "full")
    left = [name for name in _LEFT_TO_US if settings.get(name) == "auto"]
    known = FineTuneSpec.from_dict({name: settings[name] for name in settings if name not in left})
    refuse_unfit(known)
    device_for(known, str(given.get("device") or "any"))
    if known.method == LORA and model.version is None:
        adapter_check(known, model.base)
    return settings


def _fine_tune_settings(
    asked: Mapping[str, Any],
    requested: Mapping[str, Any],
    model: ResolvedModel,
    training: Dataset,
) -> tuple[FineTuneSpec, dict[str, Choice]]:
    """What was asked for; what was left to us comes from the data's and the base's size."""
    settings = dict(asked)
    chosen = resolve_auto(
        examples=training.examples,
        parameters=model.base.parameters,
        method=settings.get("method", "lora"),
        task=settings["task"],
        **requested,
    )
    ours = {
        "epochs": chosen.n_epochs,
        "batch_size": chosen.batch_size,
        "learning_rate": chosen.learning_rate,
        "max_length": model.base.context_length,
    }
    reasons = {**chosen.reasons, "max_length": "what the base can read"}
    left = [name for name in _LEFT_TO_US if settings.get(name, "auto") == "auto"]
    settings |= {name: ours[name] for name in left}
    explained = {name: Choice(ours[name], reasons[name]) for name in left if name in reasons}
    complete = FineTuneSpec.from_dict(settings)
    refuse_unfit(complete)
    return complete, explained


def _by_method(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were asked for, with the task that OpenAI's name of the method stands for.

    Its clients say "supervised" unasked, so that one stands for whatever the model learns.
    """
    asked, method = dict(given.get("settings") or {}), given.get("method")
    if method not in {None, SUPERVISED, DPO}:
        raise InvalidInput(
            f"the method {method!r} is not offered; choose {SUPERVISED!r} or {DPO!r}",
            param="method",
        )
    if method == DPO and asked.setdefault("task", PREFERENCE) != PREFERENCE:
        raise InvalidInput(
            f"the method {DPO!r} is the task {PREFERENCE!r}, not {asked['task']!r}; leave one out",
            param="task",
        )
    return asked


def _refuse_too_long(
    dataset: Dataset, settings: FineTuneSpec | EvaluateSpec, base: BaseModel, param: str
) -> None:
    refuse_too_long(
        longest=dataset.longest,
        longest_line=dataset.longest_line,
        limit=min(settings.max_length, base.context_length),
        policy=settings.length_policy,
        param=param,
    )


def _evaluate(actor: Actor, given: Mapping[str, Any]) -> Checked:
    """An evaluation's spec from model, file_id, and optionally settings."""
    model = model_resolve(str(given["model"]))
    over = model.version.over if model.version else None
    if over is not None and over.kind == ModelVersion.Kind.QUANTISED:
        raise InvalidInput(
            f"{model.name} is on rounded weights, which it cannot be merged into to be measured; "
            f"call it, or evaluate {over.name}",
            param="model",
            code="model_not_supported",
        )
    asked = {"max_length": model.base.context_length, **dict(given.get("settings") or {})}
    asked["task"] = _task(model, asked)
    asked["tabular"] = _tabular(model, asked).to_dict()
    settings = EvaluateSpec.from_dict(asked)
    refuse_unfit(settings)
    dataset = _valid_dataset(actor, given["file_id"], model, asked, "file")
    _refuse_too_long(dataset, settings, model.base, "file")
    spec = {
        "base_id": model.base.id,
        "model": model.name,
        "version_id": model.version.id if model.version else None,
        "file_id": dataset.file_id,
        "dataset_id": dataset.id,
        "settings": settings.to_dict(),
    }
    tokens = tokens_of(dataset, settings.length_policy, settings.max_length, model.base)
    return Checked(
        spec,
        Needs(device=str(given.get("device") or "any")),
        (line_of("tokens.evaluated", tokens, model),),
    )


def _compress(actor: Actor, given: Mapping[str, Any]) -> Checked:
    """A compression's spec from model, file_id, settings and what may come with them.

    That is validation_file_id, adapters, suffix and device.
    """
    model = model_resolve(str(given["model"]))
    settings_given = dict(given.get("settings") or {})
    asked = {"max_length": max(model.base.context_length, SHORTEST), **settings_given}
    asked["task"] = _compressed_as(model, settings_given)
    compressions.check_model(model, asked["task"])
    read = {"task": asked["task"]}
    asked, price = compressions.with_price(asked, model, actor.tenant_id)
    asked = compressions.with_budget(asked, model, actor.tenant_id)
    settings = CompressSpec.from_dict(asked)
    data = _valid_dataset(actor, given["file_id"], model, read, "file")
    validation = _optional_dataset(actor, given.get("validation_file_id"), model, read)
    compressions.check(model, settings, data)
    spec = {
        "base_id": model.base.id,
        "model": model.name,
        "version_id": model.version.id if model.version else None,
        "file_id": data.file_id,
        "validation_file_id": validation.file_id if validation else None,
        "dataset_id": data.id,
        "adapters": compressions.adapters_of(given.get("adapters") or (), model, settings),
        "suffix": _suffix(given.get("suffix")),
        "settings": settings.to_dict(),
        "price": price,
        "tabular": _tabular(model, {}).to_dict() if read["task"] == "tabular" else None,
    }

    def tokens(dataset: Dataset) -> Range:
        return tokens_of(dataset, LENGTH_POLICY, settings.max_length, model.base)

    use = compressions.tokens_of(
        settings, data, tokens(data), tokens(validation) if validation else None
    )
    lines = [line_of("tokens.evaluated", use.evaluated, model)]
    if use.trained.high:
        lines.append(line_of("tokens.trained", use.trained, model))
    return Checked(spec, Needs(device=str(given.get("device") or "any")), tuple(lines))


def _compressed_as(model: ResolvedModel, settings: Mapping[str, Any]) -> str:
    """What a model is compressed for: a preference-tuned one is one that writes text."""
    task = _task(model, settings)
    return TEXT_GENERATION if task == PREFERENCE else task


def _campaign(actor: Actor, given: Mapping[str, Any]) -> Checked:
    """A campaign's spec from `campaign`, as `CampaignSpec` reads it."""
    spec, seconds = campaigns.complete(actor, given)
    return Checked(spec, Needs(device="cpu", work_s=seconds[1]), seconds=seconds)


def _procure(actor: Actor, given: Mapping[str, Any]) -> Checked:
    """A purchase plan's spec from `plan`, as it was drafted from the books."""
    spec, seconds = procurements.complete(actor, given)
    return Checked(spec, Needs(device="cpu", work_s=seconds[1]), seconds=seconds)


def _serve(actor: Actor, given: Mapping[str, Any]) -> Checked:
    """A replica's spec from target, base_id and version_id. Nobody but the reconciler asks."""
    actor.require("deployments.write")
    spec = {name: given.get(name) for name in ("target", "base_id", "version_id")}
    return Checked(spec, Needs(device=str(given.get("device") or "any")))


def _pipeline(actor: Actor, given: Mapping[str, Any]) -> Checked:
    """A pipeline's spec from plugin, pipeline, file_ids, and perhaps units."""
    spec, needs, lines = pipelines.checked(actor.tenant_id, given)
    return Checked(spec, needs, lines)


def _task(model: ResolvedModel, settings: Mapping[str, Any]) -> str:
    """What a version was made for, else what was asked for, else the base's own."""
    made_for = model.version.spec.get("task") if model.version else None
    if made_for == PREFERENCE:  # still a model of its base's kind, that may learn either way
        made_for = TEXT_GENERATION
    wished = settings.get("task", made_for)
    is_either = {made_for, wished} == {TEXT_GENERATION, PREFERENCE}
    if made_for is not None and wished != made_for and not is_either:
        raise InvalidInput(f"{model.name} was made for {made_for}, not {wished!r}", param="task")
    return task_choose(model.base, wished)


def _tabular(model: ResolvedModel, settings: Mapping[str, Any]) -> TabularSpec:
    """How tables are read: as asked for, else as the earlier version's were."""
    earlier = model.version.spec.get("tabular") if model.version else None
    given = settings.get("tabular", earlier) or {}
    return EvaluateSpec.from_dict({"tabular": given}).tabular


def _valid_dataset(
    actor: Actor, file_id: Any, model: ResolvedModel, settings: Mapping[str, Any], param: str
) -> Dataset:
    dataset = dataset_validate(
        actor=actor,
        file_id=str(file_id),
        base_id=model.base.id,
        task=settings["task"],
        tabular=_tabular(model, settings),
        training=param == "training_file",
        param=param,
    )
    dataset_require_valid(dataset, param=param)
    return dataset


def _optional_dataset(
    actor: Actor, file_id: Any, model: ResolvedModel, settings: Mapping[str, Any]
) -> Dataset | None:
    return _valid_dataset(actor, file_id, model, settings, "validation_file") if file_id else None


def _suffix(given: Any) -> str:
    suffix = str(given or "")
    if len(suffix) > _SUFFIX:
        raise InvalidInput(f"a suffix has at most {_SUFFIX} characters", param="suffix")
    return suffix


_CHECKS: Mapping[Kind, Callable[[Actor, Mapping[str, Any]], Checked]] = {
    Kind.FINE_TUNE: _fine_tune,
    Kind.EVALUATE: _evaluate,
    Kind.COMPRESS: _compress,
    Kind.SERVE: _serve,
    Kind.PIPELINE: _pipeline,
    Kind.CAMPAIGN: _campaign,
    Kind.PROCURE: _procure,
}
