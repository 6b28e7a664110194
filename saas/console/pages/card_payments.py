"""Ways to Stripe's pages from the console: to top up, to save a card, to its billing portal."""

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
from saas.console.money_words import VISIT_STATES
from saas.console.readonly import Section
from saas.console.words import Word
from saas.currencies import currency_of
from tenants.billing.stripe.client import stripe_is_on
from tenants.billing.stripe.models import StripeVisit
from tenants.billing.stripe.selectors import methods_of, visit_of
from tenants.billing.stripe.services.visits import card_setup_start, portal_start, top_up_start
from tenants.kernel.money import Money

State = StripeVisit.State


class TopUpForm(forms.Form):
    amount = forms.DecimalField(label=_("Amount"), min_value=Decimal("0.01"), decimal_places=3)


def card_top_up(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    currency = currency_of(actor.tenant_id)
    return _ask(
        request,
        form=TopUpForm,
        run=lambda amount: top_up_start(
            actor=actor, amount=Money(amount, currency), back=reverse("console:wallet")
        ),
        title=_("Top up by card"),
        note=_("In %(currency)s. You pay on a page of Stripe's; the credit is here a moment later.")
        % {"currency": currency},
    )


def card_save(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    currency = currency_of(actor.tenant_id)
    return _ask(
        request,
        form=forms.Form,
        run=lambda: card_setup_start(
            actor=actor, currency=currency, back=reverse("console:wallet")
        ),
        title=_("Save a payment method"),
        note=_("Invoices are charged to it. Its number stays with Stripe and never comes here."),
    )


def portal(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    return _ask(
        request,
        form=forms.Form,
        run=lambda: portal_start(actor=actor, back=reverse("console:wallet")),
        title=_("Billing portal"),
        note=_("Receipts, payment methods and billing address, on a page of Stripe's."),
    )


def visit(request: HttpRequest, visit_id: str) -> HttpResponse:
    """Leads on to Stripe's page once it is there; until then it looks again each second."""
    from saas.console.site import console

    row = visit_of(tenant_id=actor_of(request).tenant_id, visit_id=visit_id)
    if row.state == State.READY and row.url:
        return redirect(row.url)
    return console.page(
        request,
        "console/visit.html",
        title=_("Payment"),
        waiting=row.state == State.ASKED and not row.error,
        state=show.as_badge(row.state, VISIT_STATES),
        error=row.error,
    )


def methods_section(tenant_id: str) -> Section | None:
    """Saved payment methods; None where Stripe is off."""
    if not stripe_is_on():
        return None
    return Section(_("Payment methods"), _METHODS, list(methods_of(tenant_id)))


def _ask(
    request: HttpRequest, *, form: type[forms.Form], run: Any, title: Word, note: Word
) -> HttpResponse:
    from saas.console.site import console

    return ask(
        request,
        console,
        form=form,
        run=run,
        then=lambda made: redirect("console:visit", made.pk),
        title=title,
        done="",
        note=note,
        button=_("Go on to Stripe"),
        crumbs=[{"title": _("Wallet"), "link": reverse("console:wallet")}, {"title": title}],
    )


def _expiry(row: Any) -> str | None:
    year = row.data.get("exp_year")
    return f"{row.data.get('exp_month'):02d}/{year}" if year else None


_METHODS = (
    show.column(lambda row: row.data.get("brand") or row.data.get("bank_name"), _("Kind")),
    show.column(lambda row: f"···· {row.data.get('last4', '')}", _("Number")),
    show.column(_expiry, _("Expires")),
    show.column(lambda row: _("charged") if row.state == "default" else None, _("Invoices")),
)
