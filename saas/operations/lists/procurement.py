"""What compute can be bought ahead: the offers, one entered, a file of them read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of, choices_set
from saas.console.filters import choice_filter
from saas.console.procurement_words import OFFER_KINDS
from saas.console.readonly import Act
from saas.operations.forms import ask_new
from saas.operations.lists.work import OperatorAdmin
from tenants.costs.defaults import CURRENCY
from tenants.costs.models import Resource
from tenants.costs.purchase_offers import (
    WRITE,
    NewOffer,
    offer_withdraw,
    offers_read,
    offers_set,
)
from tenants.kernel.errors import InvalidInput

BACK = "costs_purchaseoffer_changelist"


class OfferForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=60)
    resource = forms.ChoiceField(label=_("Class of workers"))
    kind = forms.ChoiceField(label=_("How it is had"), choices=list(OFFER_KINDS.items()))
    months = forms.IntegerField(
        label=_("Months"), help_text=_("The term; of a machine of one's own, its life.")
    )
    capacity = forms.DecimalField(
        label=_("Slot-hours a month"), initial=Decimal(730), help_text=_("Of one unit.")
    )
    upfront = forms.DecimalField(label=_("Upfront"), initial=Decimal(0))
    monthly = forms.DecimalField(label=_("Each month"), initial=Decimal(0))
    currency = forms.CharField(label=_("Currency"), max_length=3, initial=CURRENCY)
    available = forms.IntegerField(label=_("Units a month"), initial=100)
    kinds = forms.CharField(
        label=_("Kinds of work"),
        required=False,
        help_text=_("Such as serve fine_tune, with spaces between; any where it is empty."),
    )
    until = forms.DateField(
        label=_("Offered until"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = Resource.objects.filter(unit="slot-second").order_by("id")
        choices_set(self, "resource", [(row.id, row.id) for row in names])


class OffersForm(forms.Form):
    file = forms.FileField(
        label=_("File"),
        help_text=_(
            "CSV with the columns name, resource, months, capacity, and perhaps upfront, monthly,"
            " currency, available, kind, kinds, until."
        ),
    )


def _withdraw(request: HttpRequest, offer_id: str) -> Any:
    return offer_withdraw(actor=actor_of(request), offer_id=offer_id)


class PurchaseOfferAdmin(OperatorAdmin):
    title = _("Offers of compute")
    intro = _(
        "What can be bought ahead. An offer never changes: one of the same name takes its place,"
        " and a plan that was made from the former cannot be adopted any more."
    )
    ordering = ("name",)
    list_tools = "operations/purchase_offer_tool.html"
    list_display = (
        show.text("name", _("Name"), sort=True),
        show.text("resource_id", _("Class of workers")),
        show.word("kind", _("How it is had"), OFFER_KINDS),
        show.number("months", _("Months")),
        show.number("capacity", _("Slot-hours a month")),
        show.amount("upfront", _("Upfront")),
        show.amount("monthly", _("Each month")),
        show.amount("cost", _("Over its term")),
        show.number("available", _("Units a month")),
        show.text("until", _("Offered until"), sort=True),
        show.moment("withdrawn_at", _("Withdrawn")),
    )
    list_filter = (choice_filter("kind", _("How it is had"), OFFER_KINDS),)
    search_fields = ("name", "resource__id")
    details = (
        show.code("id", _("Id")),
        *list_display,
        show.derived("kinds", _("Kinds of work"), ", ".join),
        show.moment("created_at", _("Made")),
    )
    acts = (
        Act(
            name="withdraw",
            label=_("Withdraw"),
            permission=WRITE,
            run=_withdraw,
            done=_("It is not offered any more."),
            offered=lambda row: row.withdrawn_at is None,
            danger=True,
        ),
    )


def offer_enter(request: HttpRequest) -> HttpResponse:
    def run(*, kinds: str, **fields: Any) -> Any:
        offer = NewOffer(kinds=tuple(kinds.split()), **fields)
        return offers_set(actor=actor_of(request), offers=[offer])

    return ask_new(
        request,
        form=OfferForm,
        run=run,
        title=_("Enter an offer"),
        back=BACK,
        crumb=PurchaseOfferAdmin.title,
    )


def offers_import(request: HttpRequest) -> HttpResponse:
    def run(*, file: Any) -> Any:
        try:
            text = file.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"the file is no UTF-8: {error.reason}", param="file") from error
        return offers_set(actor=actor_of(request), offers=offers_read(text))

    return ask_new(
        request,
        form=OffersForm,
        run=run,
        title=_("Import offers"),
        back=BACK,
        crumb=PurchaseOfferAdmin.title,
    )
