"""The organisations on the platform, for staff."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.accounts.models import Tenant


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


class TenantsView(ApiView):
    @operation(
        "List tenants",
        tag="operator",
        needs="members.read",
        answer=list_of(OperatorTenantOut),
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(Tenant.objects.all(), self.query(PageQuery), render))


def render(tenant: Tenant) -> dict[str, Any]:
    return OperatorTenantOut(tenant).data
