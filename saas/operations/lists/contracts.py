"""Contracts: a tenant's terms from a moment on; written and ended here."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from saas.acting import acting_on
from saas.console import columns as show
from saas.console.asking import actor_of, ask, choices_set
from saas.console.readonly import Act
from saas.operations.lists.work import OperatorAdmin
from tenants.accounts.models import Tenant
from tenants.billing.stripe.client import stripe_is_on
from tenants.billing.stripe.selectors import subscription_of
from tenants.billing.stripe.services.subscriptions import subscription_cancel, subscription_start
from tenants.pricing.contract_terms import NewContract
from tenants.pricing.models import Contract, PriceBook, PriceBookVersion
from tenants.pricing.services.contracts import contract_end, contract_write


def money_field(label: Any, help_text: Any = "", *, required: bool = False) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        min_value=Decimal(0),
        max_digits=26,
        decimal_places=6,
        required=required,
        help_text=help_text,
    )


class ContractForm(forms.Form):
    """Amounts are a month's, in the contract's currency; what is left empty is zero."""

    tenant_id = forms.ChoiceField(label=_("Tenant"))
    book_id = forms.ChoiceField(label=_("Price book"), required=False)
    pinned_version_id = forms.ChoiceField(
        label=_("Pinned version"),
        required=False,
        help_text=_("Empty: the book is followed as it changes."),
    )
    currency = forms.RegexField(r"^[A-Z]{3}\Z", label=_("Currency"), initial="USD")
    discount = forms.DecimalField(
        label=_("Discount in percent"),
        min_value=Decimal(0),
        max_value=Decimal(100),
        decimal_places=4,
        required=False,
    )
    plan_fee = money_field(_("Plan fee a month"))
    commitment = money_field(_("Commitment a month"), _("What a month comes to at least."))
    cap = money_field(_("Cap a month"), _("Empty: none."))
    allowance = money_field(_("Credit granted each month"))
    credit_limit = money_field(_("Credit limit"), _("How much may be owed. Empty: prepaid only."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tenants = Tenant.objects.filter(is_platform=False).order_by("name")
        books = PriceBook.objects.filter(is_list=False).order_by("name")
        versions = PriceBookVersion.objects.filter(published_at__isnull=False)
        pinned = [
            (row.pk, f"{row.book.name} v{row.number}")
            for row in versions.select_related("book").order_by("book__name", "-number")
        ]
        choices_set(self, "tenant_id", [(row.pk, row.name) for row in tenants])
        choices_set(self, "book_id", [("", _("The list")), *((row.pk, row.name) for row in books)])
        choices_set(self, "pinned_version_id", [("", "–"), *pinned])

    def clean_discount(self) -> Decimal:
        return (self.cleaned_data["discount"] or Decimal(0)) / 100

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        empty = {name for name, value in given.items() if value is None and name != "cap"}
        return {**given, **dict.fromkeys(empty, Decimal(0))}


def contract_create(request: HttpRequest) -> HttpResponse:
    from saas.operations.site import operations

    back = reverse("operations:pricing_contract_changelist")
    return ask(
        request,
        operations,
        form=ContractForm,
        initial=request.GET.dict(),
        run=lambda tenant_id, **terms: contract_write(
            actor=actor_of(request), tenant_id=tenant_id, terms=NewContract(**terms)
        ),
        then=lambda made: redirect("operations:pricing_contract_change", made.pk),
        title=_("New contract"),
        done=_("The contract holds from now on."),
        note=_("It holds from now on; one in force ends there."),
        crumbs=[{"title": _("Contracts"), "link": back}, {"title": _("New contract")}],
    )


def _subscribe(request: HttpRequest, contract_id: str) -> Any:
    actor = acting_on(actor_of(request), Contract.objects, contract_id)
    return subscription_start(actor=actor, contract_id=contract_id)


def _unsubscribe(request: HttpRequest, contract_id: str) -> Any:
    actor = acting_on(actor_of(request), Contract.objects, contract_id)
    return subscription_cancel(actor=actor, contract_id=contract_id)


def _collected(row: Contract) -> str:
    """Stripe's word for how the plan fee is collected, empty where it is not."""
    found = subscription_of(tenant_id=row.tenant_id, contract_id=row.id)
    return f"{found.status} {found.error}".strip()


def _may_subscribe(row: Contract) -> bool:
    found = subscription_of(tenant_id=row.tenant_id, contract_id=row.id)
    return bool(stripe_is_on() and row.plan_fee and row.ends is None and not found.runs)


def _may_unsubscribe(row: Contract) -> bool:
    return subscription_of(tenant_id=row.tenant_id, contract_id=row.id).runs


def _end(request: HttpRequest, contract_id: str) -> Any:
    tenant_id = Contract.objects.values_list("tenant_id", flat=True).get(pk=contract_id)
    return contract_end(actor=actor_of(request), tenant_id=tenant_id)


class ContractAdmin(OperatorAdmin):
    title = _("Contracts")
    intro = _("A tenant without one pays list prices in advance. A new one ends the one before.")
    list_tools = "operations/contract_tool.html"
    list_display = (
        show.text("tenant.name", _("Tenant"), sort=True),
        show.column(lambda row: row.book.name if row.book else _("The list"), _("Price book")),
        show.percent("discount", _("Discount")),
        show.amount("commitment", _("Commitment")),
        show.amount("credit_limit", _("Credit limit")),
        show.moment("starts", _("From")),
        show.moment("ends", _("Until")),
    )
    list_select_related = ("tenant", "book", "pinned_version")
    search_fields = ("id", "tenant__name", "tenant__slug")
    details = (
        show.code("id", _("Id")),
        *list_display[:3],
        show.column(
            lambda row: row.pinned_version and str(row.pinned_version), _("Pinned version")
        ),
        show.text("currency", _("Currency")),
        show.amount("plan_fee", _("Plan fee a month")),
        show.column(_collected, _("Collected by Stripe")),
        show.amount("commitment", _("Commitment a month")),
        show.amount("cap", _("Cap a month")),
        show.amount("allowance", _("Credit granted each month")),
        show.amount("credit_limit", _("Credit limit")),
        show.moment("starts", _("From")),
        show.moment("ends", _("Until")),
    )
    acts = (
        Act(
            name="subscribe",
            label=_("Collect the plan fee through Stripe"),
            permission="billing.write",
            run=_subscribe,
            done=_("The rest of this month is being charged, each month to come on its first day."),
            offered=_may_subscribe,
            confirm=_("Charge the plan fee to the customer's saved payment method from now on?"),
        ),
        Act(
            name="unsubscribe",
            label=_("Stop collecting through Stripe"),
            permission="billing.write",
            run=_unsubscribe,
            done=_("Stripe collects the plan fee no more."),
            offered=_may_unsubscribe,
            danger=True,
            confirm=_("Stop collecting? The month's invoice gives back what is too much."),
        ),
        Act(
            name="end",
            label=_("End now"),
            permission="billing.write",
            run=_end,
            done=_("The contract has ended; list prices hold."),
            offered=lambda row: row.ends is None,
            danger=True,
            confirm=_("End this contract now? The tenant then pays list prices in advance."),
        ),
    )

    def heading(self, row: Contract) -> str:
        return row.tenant.name
