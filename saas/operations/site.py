"""Operations: the web admin of the platform's staff, across tenants, in the system's scope.

It shows what runs and what it costs, never what is in a tenant's files, prompts or models.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console.sites import BreakwaterSite
from tenants.accounts.actors import ActorKind


class OperationsSite(BreakwaterSite):
    settings_name = "UNFOLD_OPERATIONS"
    index_title = _("Overview")

    def has_permission(self, request: HttpRequest) -> bool:
        actor = getattr(request, "actor", None)
        return actor is not None and actor.kind is ActorKind.OPERATOR

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        del extra_context
        from saas.operations.overview import overview

        return overview(request)


operations = OperationsSite(name="operations")
