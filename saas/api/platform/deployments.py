"""Deployments: models on offer. Fine-tuned ones are offered by themselves, asleep until called."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from workers.serving.models import Deployment
from workers.serving.selectors import deployment_get, deployments_visible
from workers.serving.services import (
    LONGEST_SLEEP_AFTER_S,
    MOST_REPLICAS,
    deployment_create,
    deployment_delete,
    deployment_sleep,
    deployment_update,
    deployment_wake,
)

TAG = "deployments"
READ, WRITE = "deployments.read", "deployments.write"


class DeploymentOut(serializers.Serializer[Deployment]):
    id = serializers.CharField()
    object = Constant("deployment")
    created_at = UnixTime()
    model = serializers.CharField()
    base = serializers.CharField(source="base_id")
    state = serializers.ChoiceField(Deployment.State.values)
    max_replicas = serializers.IntegerField()
    sleep_after_s = serializers.IntegerField()
    wanted_until = UnixTime(allow_null=True)
    last_error = serializers.SerializerMethodField()

    def get_last_error(self, row: Deployment) -> str | None:
        return row.last_error or None


class DeploymentDeletedOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("deployment")
    deleted = serializers.BooleanField()


class DeploymentChangeIn(serializers.Serializer[Any]):
    sleep_after_s = serializers.IntegerField(
        required=False,
        min_value=10,
        max_value=LONGEST_SLEEP_AFTER_S,
        help_text="Without a request for so long, its replicas stop.",
    )
    max_replicas = serializers.IntegerField(required=False, min_value=1, max_value=MOST_REPLICAS)


class DeploymentIn(DeploymentChangeIn):
    model = serializers.CharField(max_length=160)


def render(row: Deployment) -> dict[str, Any]:
    return DeploymentOut(row).data


class DeploymentsView(ApiView):
    @operation(
        "List deployments", tag=TAG, needs=READ, answer=list_of(DeploymentOut), query=PageQuery
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(deployments_visible(), self.query(PageQuery), render))

    @operation(
        "Create a deployment",
        tag=TAG,
        needs=WRITE,
        answer=DeploymentOut,
        status=201,
        body=DeploymentIn,
        costs=True,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        row = deployment_create(actor=self.actor, **self.body(DeploymentIn))
        return Response(render(row), status=201)


class DeploymentView(ApiView):
    @operation("Retrieve a deployment", tag=TAG, needs=READ, answer=DeploymentOut)
    def get(self, request: Request, deployment_id: str) -> Response:  # noqa: ARG002
        return Response(render(deployment_get(deployment_id)))

    @operation(
        "Change a deployment", tag=TAG, needs=WRITE, answer=DeploymentOut, body=DeploymentChangeIn
    )
    def post(self, request: Request, deployment_id: str) -> Response:  # noqa: ARG002
        changes = self.body(DeploymentChangeIn)
        row = deployment_update(actor=self.actor, deployment_id=deployment_id, **changes)
        return Response(render(row))

    @operation("Delete a deployment", tag=TAG, needs=WRITE, answer=DeploymentDeletedOut)
    def delete(self, request: Request, deployment_id: str) -> Response:  # noqa: ARG002
        deployment_delete(actor=self.actor, deployment_id=deployment_id)
        return Response(DeploymentDeletedOut({"id": deployment_id, "deleted": True}).data)


class DeploymentWakeView(ApiView):
    @operation("Wake a deployment", tag=TAG, needs=WRITE, answer=DeploymentOut, costs=True)
    def post(self, request: Request, deployment_id: str) -> Response:  # noqa: ARG002
        return Response(render(deployment_wake(actor=self.actor, deployment_id=deployment_id)))


class DeploymentSleepView(ApiView):
    @operation("Let a deployment sleep", tag=TAG, needs=WRITE, answer=DeploymentOut)
    def post(self, request: Request, deployment_id: str) -> Response:  # noqa: ARG002
        return Response(render(deployment_sleep(actor=self.actor, deployment_id=deployment_id)))
