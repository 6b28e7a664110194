"""The console's menu, by role; and which organisation one acts for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from saas.console.asking import allowed
from saas.console.words import Word
from tenants.accounts.models import Member


@dataclass(frozen=True)
class Entry:
    """One line of a menu: where it leads, and who sees it (empty: everybody who came in)."""

    title: Word
    icon: str
    url_name: str
    permission: str = ""


Menu = Sequence[tuple[Word, Sequence[Entry]]]

PARTNER = _("Partner")  # a group that partners alone see

_MENU: Menu = [
    (
        "",
        [
            Entry(_("Overview"), "space_dashboard", "index"),
            Entry(_("Playground"), "forum", "playground", "inference"),
        ],
    ),
    (
        _("Build"),
        [
            Entry(_("Files"), "folder_open", "assets_file_changelist", "files.read"),
            Entry(_("Jobs"), "model_training", "jobs_job_changelist", "jobs.read"),
            Entry(_("Models"), "deployed_code", "assets_modelversion_changelist", "models.read"),
            Entry(_("Base models"), "category", "assets_basemodel_changelist", "models.read"),
            Entry(_("Deployments"), "cloud", "serving_deployment_changelist", "deployments.read"),
        ],
    ),
    (
        _("Marketplace"),
        [
            Entry(_("Plugins"), "extension", "partners_release_changelist", "plugins.read"),
            Entry(
                _("Enabled plugins"),
                "toggle_on",
                "partners_installation_changelist",
                "plugins.read",
            ),
            Entry(_("Panels"), "dashboard", "panels", "usage.read"),
            Entry(_("Services"), "support_agent", "marketplace_service_changelist", "orders.read"),
            Entry(_("Orders"), "shopping_bag", "marketplace_order_changelist", "orders.read"),
        ],
    ),
    (
        PARTNER,
        [
            Entry(_("Listings"), "publish", "marketplace_listing_changelist", "partner.read"),
            Entry(_("Earnings"), "trending_up", "earnings", "partner.read"),
            Entry(
                _("Partner statements"),
                "task",
                "marketplace_partnerstatement_changelist",
                "partner.read",
            ),
            Entry(_("Payouts"), "send_money", "marketplace_payout_changelist", "partner.read"),
        ],
    ),
    (
        _("Money"),
        [
            Entry(_("Wallet"), "account_balance_wallet", "wallet", "billing.read"),
            Entry(
                _("Transactions"),
                "swap_vert",
                "ledger_ledgertransaction_changelist",
                "billing.read",
            ),
            Entry(_("Spend"), "payments", "spend", "costs.read"),
            Entry(_("Invoices"), "receipt_long", "billing_invoice_changelist", "billing.read"),
            Entry(_("Budgets"), "savings", "ledger_budget_changelist", "billing.read"),
            Entry(_("Prices"), "sell", "prices", "usage.read"),
            Entry(_("Billing details"), "contact_mail", "billing_details", "billing.write"),
        ],
    ),
    (
        _("Organisation"),
        [
            Entry(_("Usage"), "monitoring", "usage", "usage.read"),
            Entry(_("API keys"), "key", "accounts_apikey_changelist", "keys.read"),
            Entry(_("Members"), "group", "accounts_member_changelist", "members.read"),
            Entry(_("Audit trail"), "history", "accounts_auditentry_changelist", "audit.read"),
            Entry(_("Settings"), "settings", "settings", "tenant.write"),
        ],
    ),
]


def menu(request: HttpRequest) -> list[dict[str, Any]]:
    """The menu's groups with what this member may open."""
    member: Member | None = getattr(request, "member", None)
    is_partner = member is not None and member.tenant.is_partner
    groups = [group for group in _MENU if is_partner or group[0] is not PARTNER]
    return menu_of(request, site="console", groups=groups)


def menu_of(request: HttpRequest, *, site: str, groups: Menu) -> list[dict[str, Any]]:
    """A menu in unfold's shape; the entry whose address fits the page best is the active one."""
    links = {e: reverse(f"{site}:{e.url_name}") for _title, entries in groups for e in entries}
    active = max((link for link in links.values() if request.path.startswith(link)), key=len)
    return [
        {
            "title": title,
            "separator": bool(title),
            "items": [
                {
                    "title": entry.title,
                    "icon": entry.icon,
                    "link": links[entry],
                    "active": links[entry] == active,
                }
                for entry in entries
                if not entry.permission or allowed(request, entry.permission)
            ],
        }
        for title, entries in groups
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
