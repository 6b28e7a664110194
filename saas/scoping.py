"""Opens the scope that a request runs in.

It is the API key's tenant's, the member's, or the system's for staff and sign-in. One transaction
per request; an answer of 400 or above rolls it back. Streamed bodies run outside of it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.backends import ModelBackend
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase

from saas.api.errors import error_response
from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.models import Tenant, User
from tenants.accounts.selectors import (
    actor_by_api_key,
    actor_by_member,
    actor_by_operator,
    memberships_of,
    platform_tenant,
)
from tenants.accounts.services import api_key_touch
from tenants.kernel.errors import BreakwaterError, PermissionDenied, Unauthenticated
from tenants.kernel.scope import current_alias, current_scope, system_scope, tenant_scope

PUBLIC = frozenset({"/v1/sign_up"})  # there is no tenant yet; a key sent along means nothing


class ScopeMiddleware:
    """Puts `request.actor` and the scope around the view.

    Views never choose a tenant themselves.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            scope = scope_for(request)
        except BreakwaterError as error:
            return error_response(error)
        with scope:
            response = self.get_response(request)
            if response.status_code >= 400 and current_scope() is not None:
                transaction.set_rollback(True, using=current_alias())
            return response


def scope_for(request: HttpRequest) -> AbstractContextManager[None]:
    """Return the scope for this request and set `request.actor`.

    Raises Unauthenticated, PermissionDenied.
    """
    area = request.path_info.split("/", 2)[1]
    opener = _SCOPES.get(area)
    request.actor = None  # type: ignore[attr-defined]
    return opener(request) if opener else nullcontext()


def _api_scope(request: HttpRequest) -> AbstractContextManager[None]:
    if request.path_info in PUBLIC:
        return nullcontext()
    actor = _bearer(request)
    if actor is None:
        return nullcontext()
    request.actor = actor  # type: ignore[attr-defined]
    return tenant_scope(actor.tenant_id)


def _operator_scope(request: HttpRequest) -> AbstractContextManager[None]:
    actor = _bearer(request)
    if actor is None:
        return nullcontext()
    with system_scope():
        is_staff = Tenant.objects.filter(pk=actor.tenant_id, is_platform=True).exists()
    if not is_staff:
        raise PermissionDenied(
            "this is for the platform's operators; use a key of the platform's tenant"
        )
    request.actor = Actor(  # type: ignore[attr-defined]
        kind=ActorKind.OPERATOR,
        id=actor.id,
        tenant_id=actor.tenant_id,
        may=actor.may,
        role=actor.role,
    )
    return system_scope()


def _bearer(request: HttpRequest) -> Actor | None:
    header = request.headers.get("Authorization", "")
    if not header:
        return None
    kind, _, secret = header.partition(" ")
    if kind.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("send your API key as 'Authorization: Bearer bw-…'")
    actor = actor_by_api_key(secret.strip(), ip=request.META.get("REMOTE_ADDR"))
    with system_scope():
        api_key_touch(api_key_id=actor.id)
    return actor


def _console_scope(request: HttpRequest) -> AbstractContextManager[None]:
    if not request.user.is_authenticated:
        return nullcontext()
    memberships = memberships_of(request.user)
    chosen = request.session.get("tenant_id")
    member = next((m for m in memberships if m.tenant_id == chosen), None) or next(
        iter(memberships), None
    )
    if member is None:
        return nullcontext()
    if request.method == "POST":
        bool(request.POST)  # a large upload comes off the wire here, before a transaction opens
    request.actor = actor_by_member(member)  # type: ignore[attr-defined]
    request.member = member  # type: ignore[attr-defined]
    request.memberships = memberships  # type: ignore[attr-defined]
    return tenant_scope(member.tenant_id)


def _operations_scope(request: HttpRequest) -> AbstractContextManager[None]:
    if not (request.user.is_authenticated and request.user.is_staff):
        return nullcontext()
    with system_scope():
        platform = platform_tenant()
    request.actor = actor_by_operator(request.user, tenant_id=platform.id)  # type: ignore[attr-defined]
    return system_scope()


def _sign_in_scope(request: HttpRequest) -> AbstractContextManager[None]:
    bool(request.user.is_authenticated)  # loaded before the scope, not inside it
    return system_scope()


_SCOPES: dict[str, Callable[[HttpRequest], AbstractContextManager[None]]] = {
    "v1": _api_scope,
    "operator": _operator_scope,
    "console": _console_scope,
    "operations": _operations_scope,
    "accounts": _sign_in_scope,
}


class SystemAuthBackend(ModelBackend):
    """Django's own sign-in, looking users up in the system's scope: there is no tenant yet."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        email = username or kwargs.get("email")
        if not email or password is None:
            return None
        with system_scope():
            user = super().authenticate(request, username=email.strip().lower(), password=password)
        return user if isinstance(user, User) else None

    def get_user(self, user_id: Any) -> User | None:
        if current_scope() is not None:
            user = super().get_user(user_id)
        else:
            with system_scope():
                user = super().get_user(user_id)
        return user if isinstance(user, User) else None


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """allauth's sign-in on our rules: staff go on to operations, everybody else to the console.

    A new account comes with its organisation: see the console's sign-up form.
    """

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        return "/operations/" if request.user.is_staff else "/console/"
