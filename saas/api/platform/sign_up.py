"""Sign-up: an organisation, its first owner, its first API key."""

from __future__ import annotations

import hashlib
from typing import Any

from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.idempotency import given_key
from saas.api.limits import sign_up_take
from saas.api.platform.api_keys import ApiKeyIssuedOut, render_issued
from saas.api.schema import operation
from saas.api.views import ApiView
from tenants.accounts.roles import Role
from tenants.accounts.selectors import actor_by_member
from tenants.accounts.services import api_key_create
from tenants.kernel.idempotency import founding_answer, founding_end
from tenants.kernel.scope import system_scope
from tenants.pricing.services.welcome import customer_sign_up


class TenantOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("tenant")
    name = serializers.CharField()
    slug = serializers.CharField()
    is_partner = serializers.BooleanField()
    created_at = UnixTime()


class SignUpIn(serializers.Serializer[Any]):
    organisation = serializers.CharField(max_length=120)
    email = serializers.EmailField(max_length=254)
    password = serializers.CharField(max_length=256, trim_whitespace=False)
    name = serializers.CharField(max_length=120, required=False, default="", allow_blank=True)
    is_partner = serializers.BooleanField(required=False, default=False)


class SignedUpOut(serializers.Serializer[Any]):
    object = Constant("sign_up")
    tenant = TenantOut()
    user_id = serializers.CharField()
    member_id = serializers.CharField()
    api_key = ApiKeyIssuedOut()


class SignUpView(ApiView):
    """Public; a few an hour from one address. The key is an owner's: keep it, it is shown once."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @operation("Sign up", tag="accounts", needs=None, answer=SignedUpOut, status=201, body=SignUpIn)
    def post(self, request: Request) -> Response:
        key = founding_key(request)
        sent = self.body(SignUpIn)
        sign_up_take(request.META.get("REMOTE_ADDR", ""))
        with system_scope():
            earlier = founding_answer(key=key) if key else None
            if earlier is not None:
                return Response(
                    earlier.body, status=earlier.status, headers={"idempotent-replayed": "true"}
                )
            answer = signed_up_answer(sent)
            if key:
                tenant_id = answer["tenant"]["id"]
                founding_end(tenant_id=tenant_id, key=key, status=201, body=answer)
        return Response(answer, status=201)


def founding_key(request: Request) -> str:
    """What a repeated sign-up is known by: its key and its whole body, password and all."""
    given = given_key(request._request)  # noqa: SLF001 -- Django's own request
    if given is None:
        return ""
    content = given.encode() + b"\n" + request._request.body  # noqa: SLF001
    return f"sign_up:{hashlib.sha256(content).hexdigest()}"


def signed_up_answer(sent: dict[str, Any]) -> dict[str, Any]:
    """Make the organisation, its owner and its first key, all or none."""
    with system_scope():
        signed_up = customer_sign_up(**sent)
        owner = actor_by_member(signed_up.member)
        issued = api_key_create(actor=owner, name="first key", role=Role.OWNER)
    return {
        "object": "sign_up",
        "tenant": TenantOut(signed_up.tenant).data,
        "user_id": signed_up.user.id,
        "member_id": signed_up.member.id,
        "api_key": render_issued(issued),
    }
