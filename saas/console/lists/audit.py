"""The audit trail: who did what, and when."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, Subquery
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.filters import choice_filter
from saas.console.readonly import ReadOnlyAdmin
from saas.console.words import ACTOR_KINDS
from tenants.accounts.models import AuditEntry, User


def _who(entry: AuditEntry) -> Any:
    """A person's address where the actor is one of the members, else the actor's id."""
    return getattr(entry, "email", None) or show.as_code(entry.actor_id)


_DETAILS = (
    show.moment("created_at", _("When")),
    show.word("actor_kind", _("By"), ACTOR_KINDS),
    show.column(_who, _("Who")),
    show.code("action", _("Action")),
    show.code("target", _("On")),
)


class AuditEntryAdmin(ReadOnlyAdmin):
    reads = "audit.read"
    title = _("Audit trail")
    intro = _("Every change, written with the change itself. Nobody can edit it.")
    list_display = _DETAILS
    list_filter = (choice_filter("actor_kind", _("By"), ACTOR_KINDS),)
    search_fields = ("action", "target", "actor_id")
    details = (
        *_DETAILS,
        show.derived("data", _("More"), show.as_pairs),
        show.code("trace_id", _("Request")),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        people = User.objects.filter(pk=OuterRef("actor_id")).values("email")
        return super().get_queryset(request).annotate(email=Subquery(people))

    def heading(self, row: Any) -> str:
        return str(row.action)
