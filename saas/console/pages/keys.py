"""Making an API key, and showing its secret the one time that it is known."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from saas.console.asking import actor_of, perform
from saas.console.columns import as_badge
from saas.console.words import Word
from tenants.accounts.models import ApiKey
from tenants.accounts.services import IssuedKey, api_key_create
from tenants.kernel.clock import now

KEY_STATES: dict[str, Word] = {
    "active": _("Active"),
    "expired": _("Expired"),
    "revoked": _("Revoked"),
}


def key_state(key: ApiKey) -> Any:
    if key.revoked_at is not None:
        return as_badge("revoked", KEY_STATES)
    over = key.expires_at is not None and key.expires_at <= now()
    return as_badge("expired" if over else "active", KEY_STATES)


@require_POST
def key_create(request: HttpRequest) -> HttpResponse:
    given = request.POST
    issued = perform(
        request,
        lambda: api_key_create(
            actor=actor_of(request),
            name=given.get("name", ""),
            role=given.get("role", ""),
        ),
    )
    if issued is None:
        return HttpResponseRedirect(reverse("console:accounts_apikey_changelist"))
    return show_secret(request, issued)


@never_cache
def show_secret(request: HttpRequest, issued: IssuedKey) -> HttpResponse:
    """The only page that ever holds a whole key; no cache keeps it."""
    from saas.console.site import console

    crumbs = [
        {"title": _("API keys"), "link": reverse("console:accounts_apikey_changelist")},
        {"title": issued.row.name},
    ]
    return console.page(
        request,
        "console/secret.html",
        title=issued.row.name,
        crumbs=crumbs,
        secret=issued.secret,
        base_url=request.build_absolute_uri("/v1"),
    )
