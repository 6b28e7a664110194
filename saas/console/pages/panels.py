"""What the organisation's plugins show of its month: their text, our tables."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console.asking import actor_of
from tenants.usage.panels import panels_drawn


def panels(request: HttpRequest) -> HttpResponse:
    from saas.console.site import console

    return console.page(
        request,
        "console/panels.html",
        title=_("Panels"),
        drawn=panels_drawn(actor_of(request).tenant_id),
    )
