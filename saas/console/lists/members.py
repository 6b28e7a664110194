"""Members of the organisation and their roles."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.filters import choice_filter
from saas.console.readonly import Act, ReadOnlyAdmin
from saas.console.words import ROLES
from tenants.accounts.models import Member
from tenants.accounts.services import member_remove, member_set_role


def _remove(request: HttpRequest, member_id: str) -> Any:
    return member_remove(actor=actor_of(request), member_id=member_id)


def _set_role(request: HttpRequest, member_id: str) -> Any:
    role = request.POST.get("role", "")
    return member_set_role(actor=actor_of(request), member_id=member_id, role=role)


_email = show.text("user.email", _("E-mail"), sort=True)
_name = show.text("user.name", _("Name"), sort=True)
_role = show.word("role", _("Role"), ROLES)


class MemberAdmin(ReadOnlyAdmin):
    reads = "members.read"
    title = _("Members")
    intro = _("Who belongs to the organisation, and what they may do.")
    list_tools = "console/member_form.html"
    list_display = (_email, _name, _role, show.moment("created_at", _("Since")))
    list_filter = (choice_filter("role", _("Role"), ROLES),)
    search_fields = ("user__email", "user__name")
    detail_template = "console/member.html"
    details = (_email, _name, _role, show.moment("created_at", _("Since")))
    acts = (
        Act(
            name="remove",
            label=_("Remove"),
            permission="members.write",
            run=_remove,
            done=_("The member is removed."),
            danger=True,
            confirm=_("Remove this member from the organisation?"),
        ),
        Act(
            name="role",
            label=_("Set role"),
            permission="members.write",
            run=_set_role,
            done=_("The role is changed."),
            offered=lambda _row: False,  # the detail page has a form of its own for it
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("user")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"roles": ROLES.items(), **(extra_context or {})})

    def heading(self, row: Member) -> str:
        return row.user.email

    def more(self, request: HttpRequest, row: Member) -> dict[str, Any]:
        del request
        return {"roles": ROLES.items(), "role_url": self._url("act", quote(row.pk), "role")}
