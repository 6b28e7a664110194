"""Fine-tuning jobs. https://platform.openai.com/docs/api-reference/fine-tuning"""

from __future__ import annotations

import re

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.openai.fine_tuning_shapes import (
    CheckpointsQuery,
    FineTuningJobCheckpointOut,
    FineTuningJobEventOut,
    FineTuningJobIn,
    FineTuningJobOut,
    render_checkpoint,
    render_event,
    render_job,
)
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from workers.jobs.selectors import job_checkpoints, job_events, job_get, jobs_visible
from workers.jobs.services import job_cancel, job_pause, job_resume, job_submit
from workers.jobs.states import Kind

TAG = "fine-tuning"
_LABEL = re.compile(r"^metadata\[(.{1,64})\]$")


class JobsView(ApiView):
    @operation(
        "List fine-tuning jobs",
        tag=TAG,
        needs="jobs.read",
        answer=list_of(FineTuningJobOut),
        query=PageQuery,
        parameters=[
            OpenApiParameter(
                "metadata",
                {"type": "object", "additionalProperties": {"type": "string"}},
                style="deepObject",
                description="Only jobs with these labels: `metadata[key]=value`.",
            )
        ],
    )
    def get(self, request: Request) -> Response:
        labels = {
            found[1]: value
            for name, value in request.query_params.dict().items()
            if (found := _LABEL.match(name))
        }
        rows = jobs_visible(Kind.FINE_TUNE, metadata=labels)
        return Response(page(rows, self.query(PageQuery), render_job))

    @operation(
        "Create a fine-tuning job",
        tag=TAG,
        needs="jobs.write",
        answer=FineTuningJobOut,
        body=FineTuningJobIn,
        costs=True,
    )
    def post(self, request: Request) -> Response:
        sent = FineTuningJobIn(data=request.data)
        sent.is_valid(raise_exception=True)
        job = job_submit(
            actor=self.actor,
            kind=Kind.FINE_TUNE,
            spec=sent.to_spec(),
            metadata=sent.validated_data.get("metadata") or {},
            quote_id=sent.validated_data.get("quote_id"),
        )
        return Response(render_job(job))


class JobView(ApiView):
    @operation("Retrieve a fine-tuning job", tag=TAG, needs="jobs.read", answer=FineTuningJobOut)
    def get(self, request: Request, job_id: str) -> Response:  # noqa: ARG002
        return Response(render_job(job_get(job_id, kind=Kind.FINE_TUNE)))


class JobCancelView(ApiView):
    @operation("Cancel a fine-tuning job", tag=TAG, needs="jobs.write", answer=FineTuningJobOut)
    def post(self, request: Request, job_id: str) -> Response:  # noqa: ARG002
        job = job_get(job_id, kind=Kind.FINE_TUNE)
        return Response(render_job(job_cancel(actor=self.actor, job_id=job.id)))


class JobPauseView(ApiView):
    @operation("Pause a fine-tuning job", tag=TAG, needs="jobs.write", answer=FineTuningJobOut)
    def post(self, request: Request, job_id: str) -> Response:  # noqa: ARG002
        job = job_get(job_id, kind=Kind.FINE_TUNE)
        return Response(render_job(job_pause(actor=self.actor, job_id=job.id)))


class JobResumeView(ApiView):
    @operation(
        "Resume a fine-tuning job", tag=TAG, needs="jobs.write", answer=FineTuningJobOut, costs=True
    )
    def post(self, request: Request, job_id: str) -> Response:  # noqa: ARG002
        job = job_get(job_id, kind=Kind.FINE_TUNE)
        return Response(render_job(job_resume(actor=self.actor, job_id=job.id)))


class JobEventsView(ApiView):
    @operation(
        "List a fine-tuning job's events",
        tag=TAG,
        needs="jobs.read",
        answer=list_of(FineTuningJobEventOut),
        query=PageQuery,
    )
    def get(self, request: Request, job_id: str) -> Response:  # noqa: ARG002
        job = job_get(job_id, kind=Kind.FINE_TUNE)
        return Response(page(job_events(job.id), self.query(PageQuery), render_event))


class JobCheckpointsView(ApiView):
    @operation(
        "List a fine-tuning job's checkpoints",
        tag=TAG,
        needs="jobs.read",
        answer=list_of(FineTuningJobCheckpointOut),
        query=CheckpointsQuery,
    )
    def get(self, request: Request, job_id: str) -> Response:  # noqa: ARG002
        job = job_get(job_id, kind=Kind.FINE_TUNE)
        query = self.query(CheckpointsQuery)
        return Response(
            page(job_checkpoints(job.id).select_related("job"), query, render_checkpoint)
        )
