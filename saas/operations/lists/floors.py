"""Dated prices, loss budgets and the sweep's findings: proposed by one, approved by another."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of, choices_set
from saas.console.filters import choice_filter
from saas.console.money_words import STRIPE_FINDING_STATES
from saas.console.price_words import price_said
from saas.console.readonly import Act, Section
from saas.console.words import METERS
from saas.operations.forms import ReasonForm, ask_new
from saas.operations.lists.work import OperatorAdmin
from saas.operations.words import BUDGET_ENDS, PROPOSAL_STATES
from tenants.accounts.models import Tenant
from tenants.costs.defaults import CURRENCY
from tenants.kernel.money import Money
from tenants.pricing.models import FloorFinding, LossBudget, PriceBook, PriceProposal
from tenants.pricing.selectors.sold import proposal_actual, proposal_days
from tenants.pricing.services import (
    loss_budget_close,
    loss_budget_open,
    price_proposal_approve,
    price_proposal_end,
    price_proposal_make,
    price_proposal_refuse,
)
from tenants.pricing.services.proposals import NewProposal

MILLION = "1000000"
State = PriceProposal.State


def _moment(label: Any, **options: Any) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"})
    return forms.DateTimeField(label=label, widget=widget, **options)


class BudgetForm(forms.Form):
    amount = forms.DecimalField(
        label=_("The most that may be lost (USD)"), min_value=Decimal("0.01"), decimal_places=6
    )
    volume_cap = forms.DecimalField(
        label=_("Units at most"), min_value=Decimal(1), decimal_places=0, required=False
    )
    expires_at = _moment(_("Until (UTC)"))
    tenant_id = forms.ChoiceField(label=_("For"), required=False)
    reason = forms.CharField(label=_("Reason"), min_length=10, max_length=500)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Tenant.objects.filter(is_platform=False).order_by("name")
        tenants = [(row.pk, row.name) for row in rows]
        choices_set(self, "tenant_id", [("", _("Price proposals")), *tenants])


class ProposalForm(forms.Form):
    book_id = forms.ChoiceField(label=_("Price book"))
    meter = forms.ChoiceField(label=_("Meter"), choices=list(METERS.items()))
    base = forms.CharField(
        label=_("Base model"), max_length=200, required=False, help_text=_("Empty: all.")
    )
    unit = forms.DecimalField(label=_("For a million units"), min_value=Decimal(0))
    starts = _moment(_("From (UTC)"), required=False, help_text=_("Empty: as it is approved."))
    ends = _moment(_("Until (UTC)"))
    loss_budget_id = forms.ChoiceField(label=_("Loss budget"), required=False)
    volume_cap = forms.DecimalField(
        label=_("Units at most"), min_value=Decimal(1), decimal_places=0, required=False
    )
    note = forms.CharField(label=_("Reason"), min_length=10, max_length=500)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        books = PriceBook.objects.order_by("-is_list", "name")
        choices_set(self, "book_id", [(row.pk, row.name) for row in books])
        budgets = LossBudget.objects.filter(ended_at__isnull=True, tenant__isnull=True)
        named = [(row.pk, f"{row} · {row.reason[:40]}") for row in budgets.order_by("-id")]
        choices_set(self, "loss_budget_id", [("", _("None: not below the floor")), *named])


def loss_budget_new(request: HttpRequest) -> HttpResponse:
    def run(*, amount: Decimal, **fields: Any) -> Any:
        money = Money(amount, CURRENCY)
        return loss_budget_open(actor=actor_of(request), amount=money, **fields)

    return ask_new(
        request,
        form=BudgetForm,
        run=run,
        title=_("New loss budget"),
        done=_("The loss is approved and on record, flagged for legal review."),
        back="pricing_lossbudget_changelist",
        crumb=_("Loss budgets"),
    )


def price_proposal_new(request: HttpRequest) -> HttpResponse:
    def run(*, unit: Decimal, base: str, **fields: Any) -> Any:
        charge = {"model": "standard", "unit": f"{unit:f}", "per": MILLION}
        match = {"base": base} if base else {}
        proposal = NewProposal(charge=charge, match=match, **fields)
        return price_proposal_make(actor=actor_of(request), proposal=proposal)

    return ask_new(
        request,
        form=ProposalForm,
        run=run,
        title=_("Propose a price"),
        done=_("The price is proposed. It holds nowhere until another person approves it."),
        back="pricing_priceproposal_changelist",
        crumb=_("Price proposals"),
    )


def _close(request: HttpRequest, budget_id: str) -> Any:
    return loss_budget_close(actor=actor_of(request), budget_id=budget_id)


class LossBudgetAdmin(OperatorAdmin):
    title = _("Loss budgets")
    intro = _("Leave to sell between short-run cost and floor until so much is lost.")
    list_tools = "operations/loss_budget_tool.html"
    list_display = (
        show.text("reason", _("Reason")),
        show.column(lambda row: row.tenant.name if row.tenant else _("Price proposals"), _("For")),
        show.amount("amount", _("At most")),
        show.amount("spent", _("Lost so far")),
        show.moment("expires_at", _("Until")),
        show.column(lambda row: show.as_badge(row.ended_why, BUDGET_ENDS), _("State")),
    )
    list_select_related = ("tenant",)
    search_fields = ("id", "campaign_id", "reason")
    details = (
        show.code("id", _("Id")),
        *list_display,
        show.number("volume", _("Units sold")),
        show.number("volume_cap", _("Units at most")),
        show.text("campaign_id", _("Campaign")),
        show.code("approved_by", _("Approved by")),
        show.moment("ended_at", _("Ended")),
    )
    acts = (
        Act(
            name="close",
            label=_("Close now"),
            permission="billing.write",
            run=_close,
            done=_("No further loss is allowed; the proposals under it end."),
            offered=lambda row: row.ended_at is None,
            danger=True,
            confirm=_("Close this loss budget now?"),
        ),
    )

    def sections(self, request: HttpRequest, row: LossBudget) -> Sequence[Section]:
        del request
        proposals = PriceProposal.objects.filter(loss_budget=row).select_related("book")
        return [Section(_("Price proposals"), _PROPOSAL, list(proposals.order_by("-id")))]


def _said(row: PriceProposal) -> str:
    return price_said(row.charge, row.book.currency)


_PROPOSAL = (
    show.text("book.name", _("Price book")),
    show.text("price_key", _("Price")),
    show.column(_said, _("Proposed price")),
    show.moment("starts", _("From")),
    show.moment("ends", _("Until")),
    show.badge("state", _("State"), PROPOSAL_STATES),
)


def _approve(request: HttpRequest, proposal_id: str) -> Any:
    return price_proposal_approve(actor=actor_of(request), proposal_id=proposal_id)


def _refuse(request: HttpRequest, proposal_id: str, *, reason: str) -> Any:
    return price_proposal_refuse(actor=actor_of(request), proposal_id=proposal_id, reason=reason)


def _end(request: HttpRequest, proposal_id: str, *, reason: str) -> Any:
    return price_proposal_end(actor=actor_of(request), proposal_id=proposal_id, reason=reason)


class ProposalAdmin(OperatorAdmin):
    title = _("Price proposals")
    intro = _("A price for a while: proposed by one, approved by another, given back at its end.")
    list_tools = "operations/price_proposal_tool.html"
    list_display = _PROPOSAL
    list_select_related = ("book", "loss_budget")
    list_filter = (choice_filter("state", _("State"), PROPOSAL_STATES),)
    search_fields = ("id", "campaign_id", "price_key")
    details = (
        show.code("id", _("Id")),
        *_PROPOSAL,
        show.text("note", _("Reason")),
        show.text("campaign_id", _("Campaign")),
        show.text("loss_budget", _("Loss budget")),
        show.number("volume_cap", _("Units at most")),
        show.code("proposed_by", _("Proposed by")),
        show.code("decided_by", _("Decided by")),
        show.text("ended_why", _("Why it ended")),
    )
    acts = (
        Act(
            name="approve",
            label=_("Approve"),
            permission="billing.write",
            run=_approve,
            done=_("The price is approved; it holds from its start on."),
            offered=lambda row: row.state == State.PROPOSED,
            confirm=_("Approve this price? It is held to the floor."),
        ),
        Act(
            name="refuse",
            label=_("Refuse"),
            permission="billing.write",
            run=_refuse,
            done=_("The proposal is refused."),
            offered=lambda row: row.state in {State.PROPOSED, State.APPROVED},
            form=ReasonForm,
            danger=True,
        ),
        Act(
            name="end",
            label=_("End early"),
            permission="billing.write",
            run=_end,
            done=_("The price that it replaced holds again."),
            offered=lambda row: row.state == State.ACTIVE,
            form=ReasonForm,
            danger=True,
        ),
    )

    def heading(self, row: PriceProposal) -> str:
        return row.price_key

    def sections(self, request: HttpRequest, row: PriceProposal) -> Sequence[Section]:
        del request
        return [
            Section(_("Foreseen and actual"), _OUTCOME, outcome(row)),
            Section(_("By day"), _DAYS, proposal_days(row)),
        ]


def outcome(row: PriceProposal) -> list[tuple[Any, Decimal | None, Decimal]]:
    """What was foreseen of the whole time beside what was sold so far."""
    actual = proposal_actual(row)
    told = {name: Decimal(value) for name, value in row.foreseen.items()}
    return [
        (label, told.get(name), getattr(actual, name))
        for name, label in (
            ("quantity", _("Units")),
            ("revenue", _("Revenue")),
            ("loss", _("Lost")),
        )
    ]


def _figure(value: Decimal | None) -> str:
    return show.NONE if value is None else show.as_number(value)


_OUTCOME = (
    show.column(lambda row: row[0], ""),
    show.right(show.column(lambda row: _figure(row[1]), _("Foreseen"))),
    show.right(show.column(lambda row: _figure(row[2]), _("Actual"))),
)
_DAYS = (
    show.column(lambda row: row["day"], _("Day")),
    show.right(show.column(lambda row: show.as_number(row["quantity"]), _("Units"))),
    show.right(show.column(lambda row: show.as_money(row["revenue"], CURRENCY), _("Revenue"))),
    show.right(show.column(lambda row: show.as_money(row["loss"], CURRENCY), _("Lost"))),
)


class FloorFindingAdmin(OperatorAdmin):
    title = _("Floor findings")
    intro = _("Prices that costs have overtaken, as the daily sweep found them.")
    ordering = ("-first_seen_at",)
    list_display = (
        show.text("price_key", _("Price")),
        show.text("tenant_id", _("Tenant")),
        show.amount("effective", _("Effective")),
        show.amount("floor", _("Floor")),
        show.code("permit", _("Allowed by")),
        show.badge("state", _("State"), STRIPE_FINDING_STATES),
        show.moment("first_seen_at", _("Since")),
    )
    list_filter = (choice_filter("state", _("State"), STRIPE_FINDING_STATES),)
    search_fields = ("price_key", "tenant_id")
    details = (
        show.code("id", _("Id")),
        *list_display,
        show.text("base", _("Base model")),
        show.code("book_id", _("Price book")),
        show.amount("stop", _("Short-run cost")),
        show.moment("last_seen_at", _("Last seen")),
        show.moment("closed_at", _("Closed on")),
    )

    def heading(self, row: FloorFinding) -> str:
        return row.price_key
