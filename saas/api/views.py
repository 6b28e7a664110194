"""What every view of the API shares: who asks, what they may, what they sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from saas.api.authentication import Principal
from saas.api.pagination import checked_query
from tenants.accounts.actors import Actor

METHODS = ("get", "post", "put", "patch", "delete")


class IgnoreAccept(BaseContentNegotiation):
    """The API answers in JSON, whatever `Accept` says; it never answers 406."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        from rest_framework.negotiation import DefaultContentNegotiation

        return DefaultContentNegotiation().select_parser(request, parsers)

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> tuple[BaseRenderer, str]:
        only = next(iter(renderers))
        return only, only.media_type or "application/json"


class ApiView(APIView):
    """Parse, call one service, render. Each method's `@operation` names the permission it needs."""

    content_negotiation_class = IgnoreAccept

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        bare = [m for m in METHODS if m in cls.__dict__ and not hasattr(cls.__dict__[m], "needs")]
        if bare:
            raise TypeError(f"{cls.__name__}.{bare[0]} lacks its @operation")

    @property
    def actor(self) -> Actor:
        principal: Any = self.request.user  # DRF thinks of Django's users
        assert isinstance(principal, Principal)  # noqa: S101 -- `initial` has refused anyone else
        return principal.actor

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        needs = getattr(getattr(self, str(request.method).lower(), None), "needs", None)
        if needs is not None:
            self.actor.require(needs)

    def body(
        self, kind: type[serializers.Serializer[Any]], given: Mapping[str, Any] | None = None
    ) -> Any:
        """The body (or what was read from it), checked by `kind`. Raises ValidationError."""
        sent = kind(data=self.request.data if given is None else given)
        sent.is_valid(raise_exception=True)
        return sent.validated_data

    def query(
        self, kind: type[serializers.Serializer[Any]], given: Mapping[str, Any] | None = None
    ) -> Any:
        """The query string, or what was read from it, checked by `kind`. Raises ValidationError."""
        return checked_query(kind, self.request.query_params if given is None else given)
