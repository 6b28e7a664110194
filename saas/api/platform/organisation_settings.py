"""What an organisation has decided for all its work."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant
from saas.api.schema import operation
from saas.api.views import ApiView
from tenants.accounts.models import Tenant
from tenants.accounts.selectors import tenant_get
from tenants.accounts.services import tenant_sharing_set

TAG = "organization"


class SettingsIn(serializers.Serializer[Any]):
    shares_passes = serializers.BooleanField(
        help_text="Let fine-tunes be computed together with other organisations' on the same base: "
        "a job that would wait for a free slot then starts in a running one. Prices, results and "
        "privacy stay what they are; no file or figure is seen by another."
    )


class SettingsOut(serializers.Serializer[Tenant]):
    object = Constant("organization.settings")
    shares_passes = serializers.BooleanField()


class SettingsView(ApiView):
    @operation("Retrieve settings", tag=TAG, needs="members.read", answer=SettingsOut)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(SettingsOut(tenant_get(self.actor.tenant_id)).data)

    @operation(
        "Change settings", tag=TAG, needs="tenant.write", answer=SettingsOut, body=SettingsIn
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(SettingsIn)
        row = tenant_sharing_set(actor=self.actor, shares_passes=sent["shares_passes"])
        return Response(SettingsOut(row).data)
