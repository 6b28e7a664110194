"""API keys: made, rotated and revoked here; a secret is shown once."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.pages.keys import key_state, show_secret
from saas.console.readonly import Act, ReadOnlyAdmin
from saas.console.words import ROLES
from tenants.accounts.models import ApiKey
from tenants.accounts.services import api_key_revoke, api_key_rotate
from tenants.kernel.clock import now

OVERLAP = dt.timedelta(hours=24)


def _revoke(request: HttpRequest, api_key_id: str) -> Any:
    return api_key_revoke(actor=actor_of(request), api_key_id=api_key_id)


def _rotate(request: HttpRequest, api_key_id: str) -> HttpResponse:
    issued = api_key_rotate(actor=actor_of(request), api_key_id=api_key_id, overlap=OVERLAP)
    return show_secret(request, issued)


_state = show.column(key_state, _("State"))
_role = show.word("role", _("Role"), ROLES)


class ApiKeyAdmin(ReadOnlyAdmin):
    reads = "keys.read"
    title = _("API keys")
    intro = _("Programs sign in with these. A key does what its role allows, and no more.")
    empty = _("No keys yet. Make one for your first program.")
    list_tools = "console/key_form.html"
    list_display = (
        show.text("name", _("Name"), sort=True),
        show.column(lambda key: show.as_code(str(key)), _("Key")),
        _role,
        _state,
        show.moment("last_used_at", _("Last used")),
        show.moment("created_at", _("Created")),
    )
    search_fields = ("id", "name", "prefix")
    details = (
        show.code("id", _("Id")),
        show.text("name", _("Name")),
        show.column(lambda key: show.as_code(str(key)), _("Key")),
        _role,
        show.derived("scopes", _("Narrowed to"), lambda scopes: ", ".join(scopes) or show.NONE),
        show.derived("allowed_ips", _("Only from"), lambda ips: ", ".join(ips) or show.NONE),
        _state,
        show.moment("last_used_at", _("Last used")),
        show.moment("created_at", _("Created")),
        show.moment("expires_at", _("Expires")),
        show.moment("revoked_at", _("Revoked")),
    )
    acts = (
        Act(
            name="rotate",
            label=_("Rotate"),
            permission="keys.write",
            run=_rotate,
            done="",
            offered=lambda key: key.revoked_at is None,
            confirm=_("Make a successor? This key ends in 24 hours."),
        ),
        Act(
            name="revoke",
            label=_("Revoke"),
            permission="keys.write",
            run=_revoke,
            done=_("The key is revoked."),
            offered=lambda key: key.revoked_at is None,
            danger=True,
            confirm=_("Revoke this key at once? Programs that use it stop working."),
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        """All keys but the playground's passing ones (see `pages/playground.py`) that are over."""
        over = Q(name="Playground", scopes=["inference"], expires_at__lte=now())
        return super().get_queryset(request).exclude(over)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"roles": ROLES.items(), **(extra_context or {})})

    def heading(self, row: ApiKey) -> str:
        return row.name
