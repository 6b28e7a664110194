"""The operators' menu."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from saas.console.words import Word

_MENU: list[tuple[Word, list[tuple[Word, str, str]]]] = [
    ("", [(_("Overview"), "space_dashboard", "index")]),
    (
        _("Work"),
        [
            (_("Jobs"), "model_training", "jobs_job_changelist"),
            (_("Attempts"), "replay", "jobs_attempt_changelist"),
            (_("Workers"), "memory", "jobs_worker_changelist"),
            (_("Replicas"), "cloud", "serving_replica_changelist"),
            (_("Outbox"), "outbox", "kernel_outboxevent_changelist"),
        ],
    ),
    (
        _("Business"),
        [
            (_("Tenants"), "domain", "accounts_tenant_changelist"),
            (_("Costs"), "payments", "costs"),
            (_("Cost entries"), "receipt_long", "costs_costentry_changelist"),
            (_("Rates"), "price_change", "costs_rate_changelist"),
            (_("Base models"), "category", "assets_basemodel_changelist"),
        ],
    ),
]


def menu(request: HttpRequest) -> list[dict[str, Any]]:
    del request
    return [
        {
            "title": title,
            "separator": bool(title),
            "items": [
                {"title": label, "icon": icon, "link": reverse(f"operations:{name}")}
                for label, icon, name in items
            ],
        }
        for title, items in _MENU
    ]


def subheader(request: HttpRequest) -> str:
    del request
    return gettext("Operations")
