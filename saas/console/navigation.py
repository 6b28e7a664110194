"""The console's menu, by role; and which organisation one acts for."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from saas.console.readonly import allowed
from saas.console.words import Word
from tenants.accounts.models import Member

# group, then: title, icon, url name, permission
_MENU: list[tuple[Word, list[tuple[Word, str, str, str]]]] = [
    (
        "",
        [
            (_("Overview"), "space_dashboard", "index", ""),
            (_("Playground"), "forum", "playground", "inference"),
        ],
    ),
    (
        _("Build"),
        [
            (_("Files"), "folder_open", "assets_file_changelist", "files.read"),
            (_("Jobs"), "model_training", "jobs_job_changelist", "jobs.read"),
            (_("Models"), "deployed_code", "assets_modelversion_changelist", "models.read"),
            (_("Base models"), "category", "assets_basemodel_changelist", "models.read"),
            (_("Deployments"), "cloud", "serving_deployment_changelist", "deployments.read"),
        ],
    ),
    (
        _("Organisation"),
        [
            (_("Usage"), "monitoring", "usage", "usage.read"),
            (_("API keys"), "key", "accounts_apikey_changelist", "keys.read"),
            (_("Members"), "group", "accounts_member_changelist", "members.read"),
            (_("Audit trail"), "history", "accounts_auditentry_changelist", "audit.read"),
        ],
    ),
]


def menu(request: HttpRequest) -> list[dict[str, Any]]:
    """The menu's groups with what this member may open."""
    return [
        {
            "title": title,
            "separator": bool(title),
            "items": [
                {"title": label, "icon": icon, "link": reverse(f"console:{name}")}
                for label, icon, name, permission in items
                if not permission or allowed(request, permission)
            ],
        }
        for title, items in _MENU
    ]


def organisation(request: HttpRequest) -> str:
    member: Member | None = getattr(request, "member", None)
    return member.tenant.name if member else ""


def organisations(request: HttpRequest) -> list[dict[str, Any]]:
    """The other organisations of this user, each with the address that switches to it."""
    current: Member | None = getattr(request, "member", None)
    memberships: list[Member] = getattr(request, "memberships", [])
    return [
        {
            "title": member.tenant.name,
            "icon": "domain",
            "link": reverse("console:switch", args=[member.tenant_id]),
            "attrs": {"method": "post"},
        }
        for member in memberships
        if current is None or member.tenant_id != current.tenant_id
    ]


def account_links(request: HttpRequest) -> list[dict[str, Any]]:
    links = [{"title": gettext("Change password"), "link": reverse("account_change_password")}]
    if request.user.is_staff:
        links.insert(0, {"title": gettext("Operations"), "link": reverse("operations:index")})
        links.insert(0, {"title": gettext("Console"), "link": reverse("console:index")})
    return links
