"""The organisations on the platform, for staff: who there is, and whether each may work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.acting import acting_for
from saas.api.fields import Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.accounts.models import Tenant
from tenants.accounts.standing import tenant_close, tenant_reactivate, tenant_suspend

TAG = "operator"
WRITE = "billing.write"


class OperatorTenantOut(serializers.Serializer[Tenant]):
    id = serializers.CharField()
    object = Constant("operator.tenant")
    name = serializers.CharField()
    slug = serializers.CharField()
    status = serializers.ChoiceField(Tenant.Status.values)
    is_partner = serializers.BooleanField()
    is_platform = serializers.BooleanField()
    weight = serializers.IntegerField()
    max_running_jobs = serializers.IntegerField()
    created_at = UnixTime()


class ReasonIn(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=300)


class TenantsView(ApiView):
    @operation(
        "List tenants",
        tag=TAG,
        needs="members.read",
        answer=list_of(OperatorTenantOut),
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(Tenant.objects.all(), self.query(PageQuery), render))


class TenantSuspendView(ApiView):
    """New work is refused until it is reactivated; nothing is deleted."""

    @operation("Suspend a tenant", tag=TAG, needs=WRITE, answer=OperatorTenantOut, body=ReasonIn)
    def post(self, request: Request, tenant_id: str) -> Response:  # noqa: ARG002
        return moved(self, tenant_suspend, tenant_id)


class TenantReactivateView(ApiView):
    """A suspended tenant may work again."""

    @operation("Reactivate a tenant", tag=TAG, needs=WRITE, answer=OperatorTenantOut, body=ReasonIn)
    def post(self, request: Request, tenant_id: str) -> Response:  # noqa: ARG002
        return moved(self, tenant_reactivate, tenant_id)


class TenantCloseView(ApiView):
    """For good: what is owed stays owed, and data is kept."""

    @operation(
        "Close a tenant's account", tag=TAG, needs=WRITE, answer=OperatorTenantOut, body=ReasonIn
    )
    def post(self, request: Request, tenant_id: str) -> Response:  # noqa: ARG002
        return moved(self, tenant_close, tenant_id)


def moved(view: ApiView, service: Callable[..., Tenant], tenant_id: str) -> Response:
    actor = acting_for(view.actor, tenant_id)
    return Response(render(service(actor=actor, **view.body(ReasonIn))))


def render(tenant: Tenant) -> dict[str, Any]:
    return OperatorTenantOut(tenant).data
