"""API keys: create, list, retrieve, rotate, revoke. A secret is shown once."""

from __future__ import annotations

import datetime as dt
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.accounts.models import ApiKey
from tenants.accounts.roles import SCOPES, Role
from tenants.accounts.selectors import api_key_get, api_keys_visible
from tenants.accounts.services import (
    IssuedKey,
    api_key_create,
    api_key_revoke,
    api_key_rotate,
)

WEEK_S = 7 * 24 * 3600


class ApiKeyOut(serializers.Serializer[ApiKey]):
    id = serializers.CharField()
    object = Constant("api_key")
    name = serializers.CharField()
    hint = serializers.CharField(source="__str__", help_text="How the key begins.")
    role = serializers.ChoiceField(Role.values)
    scopes = serializers.ListField(child=serializers.CharField())
    allowed_ips = serializers.ListField(child=serializers.CharField())
    created_at = UnixTime()
    expires_at = UnixTime(allow_null=True)
    revoked_at = UnixTime(allow_null=True)
    last_used_at = UnixTime(allow_null=True)


class ApiKeyIssuedOut(ApiKeyOut):
    secret = serializers.CharField(help_text="The key itself; it cannot be shown again.")


class ApiKeyIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=120)
    role = serializers.ChoiceField(Role.values, required=False, default=Role.DEVELOPER.value)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(sorted(SCOPES)), required=False, default=list, max_length=40
    )
    expires_at = UnixTime(required=False, allow_null=True, default=None)
    allowed_ips = serializers.ListField(
        child=serializers.IPAddressField(), required=False, default=list, max_length=50
    )


class ApiKeyRotateIn(serializers.Serializer[Any]):
    overlap_s = serializers.IntegerField(
        required=False,
        default=0,
        min_value=0,
        max_value=WEEK_S,
        help_text="For how long the old key still works.",
    )


def render(row: ApiKey) -> dict[str, Any]:
    return ApiKeyOut(row).data


def render_issued(issued: IssuedKey) -> dict[str, Any]:
    return {**render(issued.row), "secret": issued.secret}


class ApiKeysView(ApiView):
    @operation(
        "List API keys",
        tag="api keys",
        needs="keys.read",
        answer=list_of(ApiKeyOut),
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(api_keys_visible(), self.query(PageQuery), render))

    @operation(
        "Create an API key",
        tag="api keys",
        needs="keys.write",
        answer=ApiKeyIssuedOut,
        status=201,
        body=ApiKeyIn,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        issued = api_key_create(actor=self.actor, **self.body(ApiKeyIn))
        return Response(render_issued(issued), status=201)


class ApiKeyView(ApiView):
    @operation("Retrieve an API key", tag="api keys", needs="keys.read", answer=ApiKeyOut)
    def get(self, request: Request, api_key_id: str) -> Response:  # noqa: ARG002
        return Response(render(api_key_get(api_key_id)))

    @operation("Revoke an API key", tag="api keys", needs="keys.write", answer=ApiKeyOut)
    def delete(self, request: Request, api_key_id: str) -> Response:  # noqa: ARG002
        return Response(render(api_key_revoke(actor=self.actor, api_key_id=api_key_id)))


class ApiKeyRotateView(ApiView):
    @operation(
        "Rotate an API key",
        tag="api keys",
        needs="keys.write",
        answer=ApiKeyIssuedOut,
        status=201,
        body=ApiKeyRotateIn,
    )
    def post(self, request: Request, api_key_id: str) -> Response:  # noqa: ARG002
        overlap = dt.timedelta(seconds=self.body(ApiKeyRotateIn)["overlap_s"])
        issued = api_key_rotate(actor=self.actor, api_key_id=api_key_id, overlap=overlap)
        return Response(render_issued(issued), status=201)
