"""What every view of the API shares: who asks, what they may, what they sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from saas.api.authentication import Principal
from saas.api.pagination import checked_query
from tenants.accounts.actors import Actor


class IgnoreAccept(BaseContentNegotiation):
    """The API answers in JSON, whatever `Accept` says; it never answers 406."""

    def select_parser(self, request: Request, parsers: Sequence[BaseParser]) -> BaseParser | None:
        from rest_framework.negotiation import DefaultContentNegotiation

        return DefaultContentNegotiation().select_parser(request, parsers)

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002
        renderers: Sequence[BaseRenderer],
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type or "application/json"


class ApiView(APIView):
    """Parse, call one service, render. `needs` names the permission that each method asks for."""

    content_negotiation_class = IgnoreAccept
    needs: ClassVar[dict[str, str]]

    @property
    def actor(self) -> Actor:
        principal = self.request.user
        assert isinstance(principal, Principal)  # noqa: S101 -- `initial` has refused anyone else
        return principal.actor

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method in self.needs:
            self.actor.require(self.needs[request.method])

    def body(self, kind: type[serializers.Serializer[Any]]) -> Any:
        """The body, checked by `kind`. Raises ValidationError."""
        sent = kind(data=self.request.data)
        sent.is_valid(raise_exception=True)
        return sent.validated_data

    def query(self, kind: type[serializers.Serializer[Any]]) -> Any:
        """The query string, checked by `kind`. Raises InvalidInput."""
        return checked_query(kind, self.request.query_params)
