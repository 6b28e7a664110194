"""The console: a tenant's own web admin. The middleware has opened the tenant's scope."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console.sites import BreakwaterSite


class ConsoleSite(BreakwaterSite):
    settings_name = "UNFOLD_CONSOLE"
    index_title = _("Overview")

    def has_permission(self, request: HttpRequest) -> bool:
        return getattr(request, "actor", None) is not None

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        del extra_context
        from saas.console.pages.overview import overview

        return overview(request)


console = ConsoleSite(name="console")
