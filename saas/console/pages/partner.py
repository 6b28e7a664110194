"""A partner's own pages: what it has earned, and a plugin's submission."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of, ask
from saas.console.readonly import Section
from tenants.ledger.chart import AccountKind
from tenants.marketplace.selectors import partner_balances
from tenants.marketplace.services.listings import listing_submit
from tenants.partners.selectors import Fared, releases_fared

BALANCES = (
    (AccountKind.PARTNER_PENDING, _("Pending"), _("earned, within the hold period")),
    (AccountKind.PARTNER_AVAILABLE, _("Available"), _("may be paid out")),
    (AccountKind.PARTNER_PAID, _("On its way"), _("paid out, not yet told as arrived")),
    (AccountKind.PARTNER_RECEIVABLE, _("Owed to us"), _("netted against what you earn")),
)


def _failures(row: Fared) -> str:
    return ", ".join(f"{kind}: {times}" for kind, times in sorted(row.failures.items()))


_FARED = (
    show.text("plugin", _("Plugin")),
    show.text("version", _("Version")),
    show.right(show.number("installs", _("Installations"))),
    show.right(show.number("calls", _("Calls in 30 days"))),
    show.column(_failures, _("Failures")),
)


class SubmitForm(forms.Form):
    wheel = forms.FileField(label=_("Wheel"), help_text=_("It is read; none of it runs."))
    title = forms.CharField(label=_("Title"), max_length=120)
    description = forms.CharField(label=_("Description"), required=False, widget=forms.Textarea)
    conformance = forms.JSONField(
        label=_("Conformance report"),
        required=False,
        help_text=_("The JSON that `plugin check` writes about this wheel."),
    )


def earnings(request: HttpRequest) -> HttpResponse:
    from saas.console.site import console

    tenant_id = actor_of(request).tenant_id
    figures = [
        (label, show.as_cents(_owed(kind, of.get(kind, Decimal(0))), currency), note)
        for currency, of in partner_balances(tenant_id).items()
        for kind, label, note in BALANCES
    ]
    section = Section(_("Your plugins"), _FARED, releases_fared(tenant_id))
    return console.page(
        request,
        "console/earnings.html",
        title=_("Earnings"),
        figures=figures,
        sections=[section] if section.rows else [],
    )


def _owed(kind: AccountKind, amount: Decimal) -> Decimal:
    return -amount if kind == AccountKind.PARTNER_RECEIVABLE else amount


def submit(request: HttpRequest) -> HttpResponse:
    from saas.console.site import console

    def run(*, wheel: Any, title: str, description: str, conformance: Any) -> Any:
        return listing_submit(
            actor=actor_of(request),
            wheel_name=wheel.name,
            content=wheel.read(),
            title=title,
            description=description,
            conformance=conformance,
        )

    return ask(
        request,
        console,
        form=SubmitForm,
        run=run,
        then=lambda row: redirect("console:marketplace_listing_change", row.pk),
        title=_("Submit a plugin"),
        done=_("The plugin is submitted for review."),
        crumbs=[
            {"title": _("Listings"), "link": reverse("console:marketplace_listing_changelist")},
            {"title": _("Submit a plugin")},
        ],
    )
