"""Partners, as staff see them: listings under review, agreements, statements, payouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.acting import acting_for
from saas.console import columns as show
from saas.console.asking import actor_of, choices_set
from saas.console.filters import choice_filter
from saas.console.lists.partner import (
    LISTING_COLUMNS,
    LISTING_DETAILS,
    PAYOUT_COLUMNS,
    STATEMENT_COLUMNS,
    listing_sections,
    statement_sections,
)
from saas.console.market_words import LISTING_STATES, PAYOUT_STATES
from saas.console.readonly import Act, Section
from saas.operations.forms import ask_new
from saas.operations.lists.work import OperatorAdmin
from tenants.accounts.models import Tenant
from tenants.ledger.chart import RevenueLine
from tenants.marketplace.models import Listing, PartnerStatement
from tenants.marketplace.services import listings
from tenants.marketplace.services.payouts import payout_confirm, payout_order
from tenants.marketplace.states import PayoutState
from tenants.partners.services import agreement_end, agreement_write

WRITE = "billing.write"
_partner = show.text("tenant.name", _("Partner"), sort=True)


class NoteForm(forms.Form):
    reason = forms.CharField(label=_("Why"), max_length=500, required=False)


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Why"), max_length=500)


class ReferenceForm(forms.Form):
    reference = forms.CharField(label=_("The bank's reference"), max_length=120)


class PartnerForm(forms.Form):
    """A form about one partner."""

    partner_id = forms.ChoiceField(label=_("Partner"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        partners = Tenant.objects.filter(is_partner=True).order_by("name")
        choices_set(self, "partner_id", partners.values_list("id", "name"))


class AgreementForm(PartnerForm):
    terms = forms.JSONField(
        label=_("Terms"),
        initial={"currency": "USD", "hold_days": 30, "lines": {"plugins": {"share": "0.7"}}},
        help_text=_("See docs/partners.md."),
    )
    note = forms.CharField(label=_("Note"), max_length=300, required=False)


class PayoutForm(PartnerForm):
    currency = forms.CharField(label=_("Currency"), max_length=3, initial="USD")
    payer = forms.ChoiceField(
        label=_("By"), choices=[("manual", _("Bank transfer")), ("stripe", "Stripe")]
    )
    key = forms.CharField(
        label=_("Name of this payout"),
        max_length=80,
        help_text=_("One payout for each name, for ever."),
    )


def _moved(service: Any) -> Any:
    def run(request: HttpRequest, listing_id: str, **fields: Any) -> Any:
        return service(actor=actor_of(request), listing_id=listing_id, **fields)

    return run


def _in(*states: str) -> Any:
    return lambda row: row.state in states


class ListingAdmin(OperatorAdmin):
    title = _("Plugins' review")
    intro = _("Submitted, checked in the sandbox, approved by a person, published with its prices.")
    ordering = ("-created_at",)
    list_display = (_partner, *LISTING_COLUMNS)
    list_filter = (choice_filter("state", _("State"), LISTING_STATES),)
    list_select_related = ("tenant",)
    search_fields = ("plugin", "title", "tenant__name")
    details = (_partner, *LISTING_DETAILS)
    acts = (
        Act("check", _("Check"), WRITE, _moved(listings.listing_check),
            _("A worker runs the conformance kit on it; its state says how that went."),
            _in("submitted")),
        Act("approve", _("Approve"), WRITE, _moved(listings.listing_approve),
            _("The listing is approved."), _in("checked"), form=NoteForm),
        Act("publish", _("Publish"), WRITE, _moved(listings.listing_publish),
            _("The plugin is on the marketplace."), _in("approved", "suspended"), form=NoteForm),
        Act("suspend", _("Suspend"), WRITE, _moved(listings.listing_suspend),
            _("The plugin is called no more."), _in("published"), danger=True, form=ReasonForm),
        Act("refuse", _("Refuse"), WRITE, _moved(listings.listing_refuse),
            _("The listing is refused; its partner reads why."),
            _in("submitted", "checking", "checked", "approved"), danger=True, form=ReasonForm),
    )  # fmt: skip

    def sections(self, request: HttpRequest, row: Listing) -> Sequence[Section]:
        del request
        return listing_sections(row)


def _end(request: HttpRequest, row_id: str) -> Any:
    from tenants.partners.models import Agreement

    partner_id = Agreement.objects.get(pk=row_id).tenant_id
    return agreement_end(actor=actor_of(request), partner_id=partner_id)


class AgreementAdmin(OperatorAdmin):
    title = _("Agreements")
    intro = _("Partners' terms, by version. What is sold under one is shared by it for good.")
    ordering = ("-created_at",)
    list_tools = "operations/agreement_tool.html"
    list_display = (
        _partner,
        show.number("number", _("Version")),
        show.moment("starts", _("From")),
        show.moment("ends", _("Until")),
        show.text("note", _("Note")),
    )
    list_select_related = ("tenant",)
    search_fields = ("tenant__name",)
    details = (
        show.code("id", _("Id")),
        *list_display,
        show.derived("terms", _("Terms"), show.as_pairs),
    )
    acts = (
        Act("end", _("End"), WRITE, _end, _("The agreement has ended."),
            lambda row: row.ends is None, danger=True,
            confirm=_("End this agreement? What is sold from now on is not shared.")),
    )  # fmt: skip


class PartnerStatementAdmin(OperatorAdmin):
    title = _("Partner statements")
    ordering = ("-period",)
    list_display = (_partner, *STATEMENT_COLUMNS)
    list_select_related = ("tenant",)
    search_fields = ("tenant__name",)
    details = list_display

    def sections(self, request: HttpRequest, row: PartnerStatement) -> Sequence[Section]:
        del request
        return statement_sections(row)


def _confirm(request: HttpRequest, payout_id: str, *, reference: str) -> Any:
    return payout_confirm(actor=actor_of(request), payout_id=payout_id, reference=reference)


class PayoutAdmin(OperatorAdmin):
    title = _("Payouts")
    intro = _("What partners are paid. A bank transfer is confirmed once it was made.")
    ordering = ("-created_at",)
    list_tools = "operations/payout_tool.html"
    list_display = (_partner, *PAYOUT_COLUMNS)
    list_filter = (choice_filter("state", _("State"), PAYOUT_STATES),)
    list_select_related = ("tenant",)
    search_fields = ("tenant__name", "reference", "key")
    details = (show.code("id", _("Id")), *list_display)
    acts = (
        Act("confirm", _("Confirm"), WRITE, _confirm, _("The payout is confirmed."),
            lambda row: row.state == PayoutState.ORDERED and row.payer == "manual",
            form=ReferenceForm),
    )  # fmt: skip


def agreement_new(request: HttpRequest) -> HttpResponse:
    def run(**fields: Any) -> Any:
        return agreement_write(actor=actor_of(request), revenues=RevenueLine.values, **fields)

    return ask_new(
        request,
        form=AgreementForm,
        run=run,
        title=_("New agreement"),
        back="partners_agreement_changelist",
        crumb=AgreementAdmin.title,
    )


def payout_new(request: HttpRequest) -> HttpResponse:
    def run(*, partner_id: str, **fields: Any) -> Any:
        return payout_order(actor=acting_for(actor_of(request), partner_id), **fields)

    return ask_new(
        request,
        form=PayoutForm,
        run=run,
        title=_("Pay a partner"),
        back="marketplace_payout_changelist",
        crumb=PayoutAdmin.title,
    )
