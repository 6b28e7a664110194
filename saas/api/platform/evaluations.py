"""Evaluations: how well a model does on a file of examples."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, Metadata, UnixTime
from saas.api.openai.fine_tuning_shapes import JobErrorOut, ProgressOut
from saas.api.openai.statuses import STATUSES, error_of, progress_of, status_of
from saas.api.pagination import PageQuery, page
from saas.api.prices import JobPriceOut, price_of
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from workers.jobs.models import Job
from workers.jobs.selectors import job_get, jobs_visible
from workers.jobs.services import job_cancel, job_submit
from workers.jobs.states import Kind, State

TAG = "evaluations"


class EvaluationIn(serializers.Serializer[Any]):
    model = serializers.CharField(max_length=160)
    file = serializers.CharField(max_length=64, help_text="Examples as for a fine-tune.")
    settings = serializers.DictField(required=False, default=dict)
    metadata = Metadata(required=False, default=dict)
    quote_id = serializers.CharField(
        required=False, allow_null=True, max_length=40, help_text="Hold it to a quote's price."
    )

    def to_spec(self) -> dict[str, Any]:
        """The spec as `job_submit` takes it."""
        sent = self.validated_data
        return {"model": sent["model"], "file_id": sent["file"], "settings": sent["settings"]}


class EvaluationOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("evaluation")
    created_at = UnixTime()
    started_at = UnixTime(allow_null=True)
    finished_at = UnixTime(allow_null=True)
    model = serializers.CharField()
    file = serializers.CharField()
    status = serializers.ChoiceField(sorted(set(STATUSES.values())))
    state = serializers.ChoiceField(State.values)
    metrics = serializers.DictField(
        child=serializers.FloatField(), help_text="Mean loss in nats a token, perplexity, accuracy."
    )
    metadata = Metadata()
    error = JobErrorOut(allow_null=True)
    progress = ProgressOut()
    price = JobPriceOut(allow_null=True)


def render(job: Job) -> dict[str, Any]:
    answer: dict[str, Any] = EvaluationOut(
        {
            "id": job.id,
            "created_at": job.created_at,
            "started_at": job.started_at,
            "finished_at": job.finished_at,
            "model": job.spec["model"],
            "file": job.spec["file_id"],
            "status": status_of(job),
            "state": job.state,
            "metrics": job.result.get("metrics", {}),
            "metadata": job.metadata,
            "error": error_of(job),
            "progress": progress_of(job),
            "price": price_of(job),
        }
    ).data
    return answer


class EvaluationsView(ApiView):
    @operation(
        "List evaluations",
        tag=TAG,
        needs="jobs.read",
        answer=list_of(EvaluationOut),
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(jobs_visible(Kind.EVALUATE), self.query(PageQuery), render))

    @operation(
        "Create an evaluation",
        tag=TAG,
        needs="jobs.write",
        answer=EvaluationOut,
        status=201,
        body=EvaluationIn,
        costs=True,
    )
    def post(self, request: Request) -> Response:
        sent = EvaluationIn(data=request.data)
        sent.is_valid(raise_exception=True)
        job = job_submit(
            actor=self.actor,
            kind=Kind.EVALUATE,
            spec=sent.to_spec(),
            metadata=sent.validated_data["metadata"],
            quote_id=sent.validated_data.get("quote_id"),
        )
        return Response(render(job), status=201)


class EvaluationView(ApiView):
    @operation("Retrieve an evaluation", tag=TAG, needs="jobs.read", answer=EvaluationOut)
    def get(self, request: Request, evaluation_id: str) -> Response:  # noqa: ARG002
        return Response(render(job_get(evaluation_id, kind=Kind.EVALUATE)))


class EvaluationCancelView(ApiView):
    @operation("Cancel an evaluation", tag=TAG, needs="jobs.write", answer=EvaluationOut)
    def post(self, request: Request, evaluation_id: str) -> Response:  # noqa: ARG002
        job = job_get(evaluation_id, kind=Kind.EVALUATE)
        return Response(render(job_cancel(actor=self.actor, job_id=job.id)))
