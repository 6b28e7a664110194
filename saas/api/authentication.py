"""Tells DRF who the scope middleware has already found."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from tenants.accounts.actors import Actor


class Principal:
    """What DRF calls a user: an authenticated actor."""

    is_authenticated = True

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.pk = actor.id


class ApiKeyAuthentication(BaseAuthentication):
    """The key itself is checked in `saas.scoping`, before the tenant's transaction opens."""

    def authenticate(self, request: Request) -> tuple[Principal, None] | None:
        actor = getattr(request._request, "actor", None)  # noqa: SLF001 -- DRF offers no other way
        return None if actor is None else (Principal(actor), None)

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        return "Bearer"
