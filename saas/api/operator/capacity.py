"""Queues, workers and jobs across tenants, for staff. Never what a tenant's work contains."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.openai.fine_tuning_shapes import JobErrorOut
from saas.api.pagination import PageQuery, listing, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from workers.jobs.fleet import Queue, cohorts, queues
from workers.jobs.models import Attempt, Cohort, Job, Worker
from workers.jobs.states import Kind, State

TAG = "operator"


class QueueOut(serializers.Serializer[Queue]):
    id = serializers.CharField(source="name", help_text="The queue's name.")
    object = Constant("queue")
    waiting = serializers.IntegerField()
    running = serializers.IntegerField()
    oldest_wait_s = serializers.FloatField(source="oldest_s", allow_null=True)


class QueuesView(ApiView):
    @operation("List queues", tag=TAG, needs="jobs.read", answer=list_of(QueueOut))
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(listing([QueueOut(queue).data for queue in queues()]))


class WorkerOut(serializers.Serializer[Worker]):
    id = serializers.CharField()
    object = Constant("worker")
    name = serializers.CharField()
    worker_class = serializers.CharField()
    queues = serializers.ListField(child=serializers.CharField())
    slots = serializers.IntegerField()
    busy = serializers.IntegerField()
    host = serializers.CharField()
    pid = serializers.IntegerField()
    started_at = UnixTime()
    heartbeat_at = UnixTime()
    draining_at = UnixTime(allow_null=True)
    stopped_at = UnixTime(allow_null=True)


class WorkersQuery(PageQuery):
    stopped = serializers.BooleanField(
        required=False, default=False, help_text="Those that have stopped too."
    )


class WorkersView(ApiView):
    @operation(
        "List workers", tag=TAG, needs="jobs.read", answer=list_of(WorkerOut), query=WorkersQuery
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(WorkersQuery)
        open_attempts = Count("attempts", filter=Q(attempts__ended_at__isnull=True))
        rows = Worker.objects.annotate(attempts_open=open_attempts)
        if not query["stopped"]:
            rows = rows.filter(stopped_at__isnull=True)
        return Response(page(rows, query, render_worker))


def render_worker(row: Any) -> dict[str, Any]:
    row.busy = row.attempts_open
    return WorkerOut(row).data


class OperatorJobOut(serializers.Serializer[Job]):
    id = serializers.CharField()
    object = Constant("operator.job")
    tenant_id = serializers.CharField()
    kind = serializers.ChoiceField(Kind.values)
    state = serializers.ChoiceField(State.values)
    queue = serializers.CharField()
    priority = serializers.IntegerField()
    base = serializers.SerializerMethodField()
    attempts_made = serializers.IntegerField()
    failures = serializers.DictField()
    step = serializers.IntegerField()
    steps = serializers.IntegerField()
    remaining_s = serializers.FloatField(allow_null=True)
    error = JobErrorOut(allow_null=True)
    created_at = UnixTime()
    queued_at = UnixTime(allow_null=True)
    started_at = UnixTime(allow_null=True)
    finished_at = UnixTime(allow_null=True)

    def get_base(self, job: Job) -> str | None:
        base: str | None = job.spec.get("base_id")
        return base


class OperatorJobsQuery(PageQuery):
    tenant = serializers.CharField(required=False, max_length=40)
    kind = serializers.ChoiceField(Kind.values, required=False)
    state = serializers.ChoiceField(State.values, required=False)


class OperatorJobsView(ApiView):
    @operation(
        "List jobs of all tenants",
        tag=TAG,
        needs="jobs.read",
        answer=list_of(OperatorJobOut),
        query=OperatorJobsQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(OperatorJobsQuery)
        rows = Job.objects.all()
        for name, column in (("tenant", "tenant_id"), ("kind", "kind"), ("state", "state")):
            if name in query:
                rows = rows.filter(**{column: query[name]})
        return Response(page(rows, query, render_operator_job))


def render_operator_job(job: Job) -> dict[str, Any]:
    return OperatorJobOut(job).data


class CohortMemberOut(serializers.Serializer[Attempt]):
    job_id = serializers.CharField()
    tenant_id = serializers.CharField()
    attempt = serializers.IntegerField(source="number")
    outcome = serializers.CharField(help_text="Empty while it trains.")
    from_step = serializers.IntegerField()
    to_step = serializers.IntegerField()
    started_at = UnixTime()
    ended_at = UnixTime(allow_null=True)


class CohortOut(serializers.Serializer[Cohort]):
    id = serializers.CharField()
    object = Constant("cohort")
    key = serializers.CharField(help_text="What its members have in common.")
    queue = serializers.CharField()
    worker_id = serializers.CharField()
    slot = serializers.IntegerField()
    started_at = UnixTime()
    heartbeat_at = UnixTime()
    ended_at = UnixTime(allow_null=True)
    members = CohortMemberOut(source="crew", many=True)


class CohortsView(ApiView):
    """Fine-tunes of several tenants that one slot computes in shared passes."""

    @operation(
        "List cohorts", tag=TAG, needs="jobs.read", answer=list_of(CohortOut), query=PageQuery
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(cohorts(), self.query(PageQuery), render_cohort))


def render_cohort(row: Any) -> dict[str, Any]:
    return CohortOut(row).data
