"""What fine-tuning requests and answers look like.

https://platform.openai.com/docs/api-reference/fine-tuning
"""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from saas.api.fields import AutoOr, Constant, Metadata, UnixTime
from saas.api.openai.statuses import STATUSES, error_of, estimated_finish, progress_of, status_of
from saas.api.pagination import PageQuery
from saas.api.prices import JobPriceOut, price_of
from tenants.kernel.clock import now
from workers.jobs.models import Checkpoint, Job, JobEvent
from workers.jobs.progress import curve_point
from workers.jobs.states import State

AUTO = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}


class HyperparametersShape(serializers.Serializer[Any]):
    n_epochs = AutoOr(int, required=False, default="auto", help_text="Passes over the data.")
    batch_size = AutoOr(int, required=False, default="auto", help_text="Examples per update.")
    learning_rate_multiplier = AutoOr(
        float, required=False, default="auto", help_text="Scales the learning rate we would choose."
    )


class SupervisedShape(serializers.Serializer[Any]):
    hyperparameters = HyperparametersShape(required=False)


class DpoHyperparametersShape(HyperparametersShape):
    beta = AutoOr(
        float,
        required=False,
        default="auto",
        help_text="How near the model stays to what it was: above 0, at most 2.",
    )


class DpoShape(serializers.Serializer[Any]):
    hyperparameters = DpoHyperparametersShape(required=False)


class MethodShape(serializers.Serializer[Any]):
    type = serializers.ChoiceField(["supervised", "dpo"])
    supervised = SupervisedShape(required=False)
    dpo = DpoShape(required=False)


class FineTuningJobIn(serializers.Serializer[Any]):
    model = serializers.CharField(max_length=160, help_text="A base model, or one of your own.")
    training_file = serializers.CharField(max_length=64)
    validation_file = serializers.CharField(max_length=64, required=False, allow_null=True)
    suffix = serializers.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        required=False,
        allow_null=True,
        help_text="Becomes part of the new model's name.",
    )
    seed = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=2**31 - 1
    )
    method = MethodShape(required=False)
    hyperparameters = HyperparametersShape(required=False, help_text="Superseded by `method`.")
    integrations = serializers.ListField(
        child=serializers.DictField(), required=False, allow_null=True, max_length=0
    )
    metadata = Metadata(required=False, allow_null=True)
    settings = serializers.DictField(
        required=False,
        help_text=(
            "Beyond OpenAI's: the engine's own settings, such as method. For GPU workers alone: "
            "quantise_base 'nf4' (QLoRA) with the method lora, optimiser 'adamw_8bit' with full."
        ),
    )

    quote_id = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=40,
        help_text="Beyond OpenAI's: hold this job to the price of a quote.",
    )

    def to_spec(self) -> dict[str, Any]:
        """The spec as `job_submit` takes it."""
        sent = self.validated_data
        method = sent.get("method", {"type": "supervised"})
        asked = method.get(method["type"], {}).get("hyperparameters")
        asked = dict(asked or sent.get("hyperparameters") or AUTO)
        beta = asked.pop("beta", "auto")
        own = {} if sent.get("seed") is None else {"seed": sent["seed"]}
        if beta != "auto":
            own["preference"] = {"beta": beta}
        return {
            "model": sent["model"],
            "training_file_id": sent["training_file"],
            "validation_file_id": sent.get("validation_file"),
            "suffix": sent.get("suffix"),
            "method": method["type"],
            "requested_hyperparameters": asked,
            "settings": {**sent.get("settings", {}), **own},
        }


class JobErrorOut(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    param = serializers.CharField(allow_null=True)


class ProgressOut(serializers.Serializer[Any]):
    step = serializers.IntegerField()
    steps = serializers.IntegerField()
    remaining_seconds = serializers.FloatField(allow_null=True)
    metrics = serializers.DictField(child=serializers.FloatField())
    shared_passes = serializers.BooleanField(
        help_text="Whether it is computed together with other fine-tunes of the same base."
    )


class FineTuningJobOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("fine_tuning.job")
    created_at = UnixTime()
    started_at = UnixTime(allow_null=True)
    finished_at = UnixTime(allow_null=True)
    estimated_finish = UnixTime(allow_null=True)
    organization_id = serializers.CharField()
    status = serializers.ChoiceField(sorted(set(STATUSES.values())))
    state = serializers.ChoiceField(State.values)
    model = serializers.CharField()
    fine_tuned_model = serializers.CharField(allow_null=True)
    training_file = serializers.CharField()
    validation_file = serializers.CharField(allow_null=True)
    result_files = serializers.ListField(child=serializers.CharField())
    trained_tokens = serializers.IntegerField(allow_null=True)
    hyperparameters = HyperparametersShape()
    method = MethodShape()
    seed = serializers.IntegerField()
    suffix = serializers.CharField(allow_null=True)
    integrations = serializers.ListField(child=serializers.DictField())
    metadata = Metadata()
    error = JobErrorOut(allow_null=True)
    progress = ProgressOut()
    breakwater = JobPriceOut(allow_null=True, help_text="Beyond OpenAI's: what it costs.")


def render_job(job: Job) -> dict[str, Any]:
    spec, result, asked = job.spec, job.result, chosen_hyperparameters(job)
    answer: dict[str, Any] = FineTuningJobOut(
        {
            "id": job.id,
            "created_at": job.created_at,
            "started_at": job.started_at,
            "finished_at": job.finished_at,
            "estimated_finish": estimated_finish(job, now()),
            "organization_id": job.tenant_id,
            "status": status_of(job),
            "state": job.state,
            "model": spec["model"],
            "fine_tuned_model": result.get("model_name"),
            "training_file": spec["training_file_id"],
            "validation_file": spec.get("validation_file_id"),
            "result_files": [],
            "trained_tokens": result.get("trained_tokens"),
            "hyperparameters": asked,
            "method": _method(job, asked),
            "seed": spec["settings"].get("seed", 0),
            "suffix": spec.get("suffix") or None,
            "integrations": [],
            "metadata": job.metadata,
            "error": error_of(job),
            "progress": progress_of(job),
            "breakwater": price_of(job),
        }
    ).data
    return answer


def _method(job: Job, chosen: dict[str, Any]) -> dict[str, Any]:
    kind = job.spec.get("method", "supervised")
    if kind == "dpo":
        chosen = {**chosen, "beta": job.spec["settings"].get("preference", {}).get("beta", "auto")}
    return {"type": kind, kind: {"hyperparameters": chosen}}


def chosen_hyperparameters(job: Job) -> dict[str, Any]:
    """What was asked for; in the place of "auto" what it came to."""
    asked = {**AUTO, **job.spec.get("requested_hyperparameters", {})}
    settings = job.spec["settings"]
    came_to = {"n_epochs": settings.get("epochs"), "batch_size": settings.get("batch_size")}
    return {
        name: came_to.get(name) or value if value == "auto" else value
        for name, value in asked.items()
    }


class FineTuningJobEventOut(serializers.Serializer[JobEvent]):
    id = serializers.CharField()
    object = Constant("fine_tuning.job.event")
    created_at = UnixTime()
    level = serializers.ChoiceField(["info", "warn", "error"])
    type = serializers.ChoiceField(["message", "metrics"])
    message = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]


def render_event(event: JobEvent) -> dict[str, Any]:
    answer: dict[str, Any] = FineTuningJobEventOut(event).data  # type: ignore[assignment]
    return answer


class CheckpointMetricsOut(serializers.Serializer[Any]):
    step = serializers.IntegerField()
    train_loss = serializers.FloatField(required=False)
    train_mean_token_accuracy = serializers.FloatField(required=False)
    valid_loss = serializers.FloatField(required=False)
    valid_mean_token_accuracy = serializers.FloatField(required=False)
    full_valid_loss = serializers.FloatField(required=False)
    full_valid_mean_token_accuracy = serializers.FloatField(required=False)


class FineTuningJobCheckpointOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("fine_tuning.job.checkpoint")
    created_at = UnixTime()
    fine_tuning_job_id = serializers.CharField()
    fine_tuned_model_checkpoint = serializers.CharField()
    step_number = serializers.IntegerField()
    metrics = CheckpointMetricsOut()


def render_checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    answer: dict[str, Any] = FineTuningJobCheckpointOut(
        {
            "id": checkpoint.id,
            "created_at": checkpoint.created_at,
            "fine_tuning_job_id": checkpoint.job_id,
            "fine_tuned_model_checkpoint": checkpoint.model_name,
            "step_number": checkpoint.step,
            "metrics": curve_point(checkpoint.step, checkpoint.job.steps, checkpoint.metrics),
        }
    ).data
    return answer


class CheckpointsQuery(PageQuery):
    limit = serializers.IntegerField(required=False, default=10, min_value=1, max_value=100)
