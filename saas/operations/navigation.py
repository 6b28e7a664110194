"""The operators' menu."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from saas.console.navigation import Entry, Menu, menu_of

_MENU: Menu = [
    ("", [Entry(_("Overview"), "space_dashboard", "index")]),
    (
        _("Work"),
        [
            Entry(_("Jobs"), "model_training", "jobs_job_changelist"),
            Entry(_("Attempts"), "replay", "jobs_attempt_changelist"),
            Entry(_("Workers"), "memory", "jobs_worker_changelist"),
            Entry(_("Replicas"), "cloud", "serving_replica_changelist"),
            Entry(_("Outbox"), "outbox", "kernel_outboxevent_changelist"),
        ],
    ),
    (
        _("Business"),
        [
            Entry(_("Tenants"), "domain", "accounts_tenant_changelist"),
            Entry(_("Costs"), "payments", "costs"),
            Entry(_("Cost entries"), "receipt_long", "costs_costentry_changelist"),
            Entry(_("Rates"), "price_change", "costs_rate_changelist"),
            Entry(_("Base models"), "category", "assets_basemodel_changelist"),
        ],
    ),
]


def menu(request: HttpRequest) -> list[dict[str, Any]]:
    return menu_of(request, site="operations", groups=_MENU)


def subheader(request: HttpRequest) -> str:
    del request
    return gettext("Operations")
