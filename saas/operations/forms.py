"""Forms of operations that begin something new: a book, a tax rate, an import, credit."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from saas.console.asking import actor_of, ask, choices_set
from saas.console.words import Word
from tenants.accounts.models import Tenant
from tenants.billing.services.bank_transfers import bank_transfers_import
from tenants.billing.services.tax import tax_rate_set
from tenants.pricing.services.books import price_book_create

DONE = _("Done.")
_MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local"})


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=300)


class PriceBookForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=120)
    currency = forms.RegexField(r"^[A-Z]{3}\Z", label=_("Currency"), initial="USD")
    tenant_id = forms.ChoiceField(label=_("For"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Tenant.objects.filter(is_platform=False).order_by("name")
        tenants = [(row.pk, row.name) for row in rows]
        choices_set(self, "tenant_id", [("", _("Any contract")), *tenants])


class TaxRateForm(forms.Form):
    jurisdiction = forms.CharField(
        label=_("Jurisdiction"), max_length=40, help_text=_("Like DE or US-CA.")
    )
    name = forms.CharField(label=_("Name"), max_length=60, help_text=_("As documents show it."))
    percent = forms.DecimalField(
        label=_("Percent"), min_value=Decimal(0), max_value=Decimal("99.9999"), decimal_places=4
    )
    valid_from = forms.DateTimeField(label=_("Holds from (UTC)"), widget=_MOMENT)


class TransfersForm(forms.Form):
    file = forms.FileField(
        label=_("The bank's list"),
        help_text=_("CSV with the columns date, amount, currency, reference, payer, bank_id."),
    )


def price_book_new(request: HttpRequest) -> HttpResponse:
    return ask_new(
        request,
        form=PriceBookForm,
        run=lambda **fields: price_book_create(actor=actor_of(request), **fields),
        title=_("New price book"),
        done=_("The book is made; draft its first version next."),
        back="pricing_pricebook_changelist",
        crumb=_("Price books"),
    )


def tax_rate_new(request: HttpRequest) -> HttpResponse:
    def run(*, percent: Decimal, **fields: Any) -> Any:
        return tax_rate_set(actor=actor_of(request), rate=percent / 100, **fields)

    return ask_new(
        request,
        form=TaxRateForm,
        run=run,
        title=_("New tax rate"),
        done=_("The rate is set."),
        back="billing_taxrate_changelist",
        crumb=_("Tax rates"),
    )


def transfers_import(request: HttpRequest) -> HttpResponse:
    def run(*, file: Any) -> Any:
        return bank_transfers_import(actor=actor_of(request), content=file.read())

    return ask_new(
        request,
        form=TransfersForm,
        run=run,
        title=_("Import the bank's list"),
        done=_("The list is read. What no reference matched waits below."),
        back="billing_banktransfer_changelist",
        crumb=_("Bank transfers"),
    )


def ask_new(
    request: HttpRequest,
    *,
    form: type[forms.Form],
    run: Callable[..., Any],
    title: Word,
    back: str,
    crumb: Word,
    done: Word = DONE,
) -> HttpResponse:
    """`ask` for something new, and go back to the page named `back`, which is titled `crumb`."""
    from saas.operations.site import operations

    name = f"operations:{back}"
    return ask(
        request,
        operations,
        form=form,
        run=run,
        then=lambda _made: redirect(name),
        title=title,
        done=done,
        crumbs=[{"title": crumb, "link": reverse(name)}, {"title": title}],
    )
