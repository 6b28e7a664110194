"""Pipelines: partners' steps over the customer's files, as jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, Metadata, UnixTime
from saas.api.openai.fine_tuning_shapes import (
    FineTuningJobEventOut,
    JobErrorOut,
    ProgressOut,
    render_event,
)
from saas.api.openai.statuses import STATUSES, error_of, progress_of, status_of
from saas.api.pagination import PageQuery, page
from saas.api.prices import JobPriceOut, price_of
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from workers.jobs.models import Job
from workers.jobs.selectors import job_events, job_get, jobs_visible
from workers.jobs.services import job_cancel, job_pause, job_resume, job_submit
from workers.jobs.states import Kind, State

TAG = "pipelines"


class PipelineIn(serializers.Serializer[Any]):
    plugin = serializers.CharField(max_length=63, help_text="One that is enabled.")
    pipeline = serializers.CharField(
        max_length=100,
        help_text="One that the plugin declares; or `prepare_dataset`, `read_dataset`, "
        "`training/NAME`, `compression/NAME`, `evaluation/NAME` of its other hooks.",
    )
    model = serializers.CharField(
        required=False,
        max_length=160,
        help_text="Whose files a method or an evaluation is handed, where it may see models.",
    )
    files = serializers.ListField(
        child=serializers.CharField(max_length=64), required=False, default=list, max_length=16
    )
    units = serializers.DictField(
        child=Amount(),
        required=False,
        default=dict,
        help_text="What it is expected to use, by meter: else the files' size says.",
    )
    engine_limit = Amount(
        required=False,
        allow_null=True,
        help_text="The most that engine work of its steps may cost, in the bill's currency, tax "
        "included. Default: what credit and budgets allow.",
    )
    metadata = Metadata(required=False, default=dict)
    quote_id = serializers.CharField(required=False, allow_null=True, max_length=40)

    def to_spec(self) -> dict[str, Any]:
        """The spec as `job_submit` takes it."""
        sent = self.validated_data
        return {
            "plugin": sent["plugin"],
            "pipeline": sent["pipeline"],
            "file_ids": sent["files"],
            "units": sent["units"],
            "model": sent.get("model"),
            "engine_limit": sent.get("engine_limit"),
        }


class PipelineOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("pipeline")
    created_at = UnixTime()
    started_at = UnixTime(allow_null=True)
    finished_at = UnixTime(allow_null=True)
    plugin = serializers.CharField()
    version = serializers.CharField()
    pipeline = serializers.CharField()
    files = serializers.ListField(child=serializers.CharField())
    status = serializers.ChoiceField(sorted(set(STATUSES.values())))
    state = serializers.ChoiceField(State.values)
    figures = serializers.DictField(help_text="By step: `score.auc`.")
    result_files = serializers.DictField(
        child=serializers.CharField(), help_text="Name → the file's id."
    )
    notices = serializers.ListField(
        child=serializers.CharField(), help_text="What it must not be used for."
    )
    metadata = Metadata()
    error = JobErrorOut(allow_null=True)
    progress = ProgressOut()
    price = JobPriceOut(allow_null=True)


def render(job: Job) -> dict[str, Any]:
    spec = job.spec
    answer: dict[str, Any] = PipelineOut(
        {
            "id": job.id,
            "created_at": job.created_at,
            "started_at": job.started_at,
            "finished_at": job.finished_at,
            "plugin": spec["plugin"],
            "version": spec["version"],
            "pipeline": spec["pipeline"],
            "files": spec["file_ids"],
            "status": status_of(job),
            "state": job.state,
            "figures": job.result.get("figures", {}),
            "result_files": job.result.get("files", {}),
            "notices": job.result.get("notices") or [spec["notice"]] if spec["notice"] else [],
            "metadata": job.metadata,
            "error": error_of(job),
            "progress": progress_of(job),
            "price": price_of(job),
        }
    ).data
    return answer


def moved(view: ApiView, service: Callable[..., Job], pipeline_id: str) -> Response:
    job = job_get(pipeline_id, kind=Kind.PIPELINE)
    return Response(render(service(actor=view.actor, job_id=job.id)))


class PipelinesView(ApiView):
    @operation(
        "List pipelines", tag=TAG, needs="jobs.read", answer=list_of(PipelineOut), query=PageQuery
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(jobs_visible(Kind.PIPELINE), self.query(PageQuery), render))

    @operation(
        "Run a pipeline",
        tag=TAG,
        needs="jobs.write",
        answer=PipelineOut,
        status=201,
        body=PipelineIn,
        costs=True,
    )
    def post(self, request: Request) -> Response:
        sent = PipelineIn(data=request.data)
        sent.is_valid(raise_exception=True)
        job = job_submit(
            actor=self.actor,
            kind=Kind.PIPELINE,
            spec=sent.to_spec(),
            metadata=sent.validated_data["metadata"],
            quote_id=sent.validated_data.get("quote_id"),
        )
        return Response(render(job), status=201)


class PipelineView(ApiView):
    @operation("Retrieve a pipeline", tag=TAG, needs="jobs.read", answer=PipelineOut)
    def get(self, request: Request, pipeline_id: str) -> Response:  # noqa: ARG002
        return Response(render(job_get(pipeline_id, kind=Kind.PIPELINE)))


class PipelineCancelView(ApiView):
    @operation("Cancel a pipeline", tag=TAG, needs="jobs.write", answer=PipelineOut)
    def post(self, request: Request, pipeline_id: str) -> Response:  # noqa: ARG002
        return moved(self, job_cancel, pipeline_id)


class PipelinePauseView(ApiView):
    @operation("Pause a pipeline", tag=TAG, needs="jobs.write", answer=PipelineOut)
    def post(self, request: Request, pipeline_id: str) -> Response:  # noqa: ARG002
        return moved(self, job_pause, pipeline_id)


class PipelineResumeView(ApiView):
    @operation("Resume a pipeline", tag=TAG, needs="jobs.write", answer=PipelineOut, costs=True)
    def post(self, request: Request, pipeline_id: str) -> Response:  # noqa: ARG002
        return moved(self, job_resume, pipeline_id)


class PipelineEventsView(ApiView):
    @operation(
        "List a pipeline's events",
        tag=TAG,
        needs="jobs.read",
        answer=list_of(FineTuningJobEventOut),
        query=PageQuery,
    )
    def get(self, request: Request, pipeline_id: str) -> Response:  # noqa: ARG002
        job = job_get(pipeline_id, kind=Kind.PIPELINE)
        return Response(page(job_events(job.id), self.query(PageQuery), render_event))
