"""Loss budgets and dated price proposals for staff: one proposes, another approves."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, Currency, UnixTime
from saas.api.operator.prices import READ, TAG, WRITE
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.costs.defaults import CURRENCY
from tenants.kernel.money import Money
from tenants.pricing.models import LossBudget, PriceProposal
from tenants.pricing.selectors.sold import (
    loss_budget_get,
    price_proposal_get,
    proposal_actual,
    proposal_days,
)
from tenants.pricing.services import (
    loss_budget_close,
    loss_budget_open,
    price_proposal_approve,
    price_proposal_end,
    price_proposal_make,
    price_proposal_refuse,
)
from tenants.pricing.services.proposals import NewProposal
from tenants.usage.meters import METERS


class LossBudgetOut(serializers.Serializer[LossBudget]):
    id = serializers.CharField()
    object = Constant("loss_budget")
    campaign_id = serializers.CharField()
    tenant_id = serializers.CharField(allow_null=True, help_text="Null: for proposals.")
    reason = serializers.CharField()
    amount = Amount()
    currency = serializers.CharField()
    volume_cap = Amount(allow_null=True)
    spent = Amount(help_text="Lost so far.")
    volume = Amount(help_text="Units sold so far.")
    starts = UnixTime()
    expires_at = UnixTime()
    approved_by = serializers.CharField()
    ended_at = UnixTime(allow_null=True)
    ended_why = serializers.ChoiceField(["", *LossBudget.End.values])
    created_at = UnixTime()


class LossBudgetIn(serializers.Serializer[Any]):
    amount = Amount(help_text="The most that may be lost.")
    currency = Currency(required=False, default=CURRENCY)
    reason = serializers.CharField(max_length=500)
    expires_at = UnixTime()
    starts = UnixTime(required=False, allow_null=True, default=None, help_text="Default: now.")
    volume_cap = Amount(required=False, allow_null=True, default=None, help_text="Units.")
    campaign_id = serializers.CharField(required=False, default="", max_length=40)
    tenant_id = serializers.CharField(
        required=False, default="", max_length=40, help_text="For this tenant's own terms."
    )


class _Foreseen(serializers.Serializer[Any]):
    quantity = Amount(required=False)
    revenue = Amount(required=False)
    loss = Amount(required=False)


class ActualOut(serializers.Serializer[Any]):
    quantity = Amount()
    revenue = Amount()
    loss = Amount()


class SaleDayOut(ActualOut):
    day = serializers.DateField()


class PriceProposalOut(serializers.Serializer[PriceProposal]):
    id = serializers.CharField()
    object = Constant("price_proposal")
    campaign_id = serializers.CharField()
    policy = serializers.CharField(help_text="Of the campaign; empty: of none.")
    book_id = serializers.CharField()
    loss_budget_id = serializers.CharField(allow_null=True)
    meter = serializers.CharField()
    match = serializers.DictField(child=serializers.CharField())
    charge = serializers.DictField()
    starts = UnixTime()
    ends = UnixTime()
    volume_cap = Amount(allow_null=True)
    note = serializers.CharField()
    state = serializers.ChoiceField(PriceProposal.State.values)
    proposed_by = serializers.CharField()
    decided_by = serializers.CharField()
    decided_at = UnixTime(allow_null=True)
    version_id = serializers.CharField(allow_null=True, help_text="The version that it became.")
    end_version_id = serializers.CharField(allow_null=True, help_text="That gave the price back.")
    ended_at = UnixTime(allow_null=True)
    ended_why = serializers.CharField()
    foreseen = _Foreseen()
    created_at = UnixTime()


class PriceProposalFullOut(PriceProposalOut):
    """With what was sold under it so far, in the currency of costs, beside what was foreseen."""

    actual = ActualOut()
    days = SaleDayOut(many=True)


class PriceProposalIn(serializers.Serializer[Any]):
    book_id = serializers.CharField(max_length=40)
    meter = serializers.ChoiceField(sorted(METERS))
    match = serializers.DictField(
        child=serializers.CharField(max_length=200), required=False, default=dict
    )
    charge = serializers.DictField(help_text='Such as {"model": "standard", "unit": "0.1"}.')
    ends = UnixTime()
    starts = UnixTime(required=False, allow_null=True, default=None, help_text="Default: now.")
    note = serializers.CharField(max_length=500, help_text="Why.")
    loss_budget_id = serializers.CharField(
        required=False, default="", max_length=40, help_text="Needed below the floor."
    )
    volume_cap = Amount(required=False, allow_null=True, default=None, help_text="Units.")
    campaign_id = serializers.CharField(required=False, default="", max_length=40)
    foreseen = _Foreseen(required=False, default=dict)


class ProposalReasonIn(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=500)


class ProposalsQuery(PageQuery):
    state = serializers.ChoiceField(PriceProposal.State.values, required=False)
    campaign = serializers.CharField(required=False, max_length=40)


def render_budget(row: LossBudget) -> dict[str, Any]:
    return LossBudgetOut(row).data


def render_proposal(row: PriceProposal) -> dict[str, Any]:
    return PriceProposalOut(row).data


def render_full(row: PriceProposal) -> dict[str, Any]:
    return {
        **render_proposal(row),
        "actual": ActualOut(proposal_actual(row)).data,
        "days": SaleDayOut(proposal_days(row), many=True).data,
    }


class LossBudgetsView(ApiView):
    @operation(
        "List loss budgets", tag=TAG, needs=READ, answer=list_of(LossBudgetOut), query=PageQuery
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(LossBudget.objects.all(), self.query(PageQuery), render_budget))

    @operation(
        "Approve a loss budget",
        tag=TAG,
        needs=WRITE,
        answer=LossBudgetOut,
        status=201,
        body=LossBudgetIn,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(LossBudgetIn)
        amount = Money(sent.pop("amount"), sent.pop("currency"))
        budget = loss_budget_open(actor=self.actor, amount=amount, **sent)
        return Response(render_budget(budget), status=201)


class LossBudgetView(ApiView):
    @operation("Retrieve a loss budget", tag=TAG, needs=READ, answer=LossBudgetOut)
    def get(self, request: Request, loss_budget_id: str) -> Response:  # noqa: ARG002
        return Response(render_budget(loss_budget_get(loss_budget_id)))


class LossBudgetCloseView(ApiView):
    """No further loss is allowed; the proposals under it end."""

    @operation("Close a loss budget", tag=TAG, needs=WRITE, answer=LossBudgetOut)
    def post(self, request: Request, loss_budget_id: str) -> Response:  # noqa: ARG002
        budget = loss_budget_close(actor=self.actor, budget_id=loss_budget_id)
        return Response(render_budget(budget))


class PriceProposalsView(ApiView):
    @operation(
        "List price proposals",
        tag=TAG,
        needs=READ,
        answer=list_of(PriceProposalOut),
        query=ProposalsQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(ProposalsQuery)
        rows = PriceProposal.objects.all()
        rows = rows.filter(state=query["state"]) if "state" in query else rows
        rows = rows.filter(campaign_id=query["campaign"]) if "campaign" in query else rows
        return Response(page(rows, query, render_proposal))

    @operation(
        "Propose a price",
        tag=TAG,
        needs=WRITE,
        answer=PriceProposalOut,
        status=201,
        body=PriceProposalIn,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        proposal = NewProposal(**self.body(PriceProposalIn))
        row = price_proposal_make(actor=self.actor, proposal=proposal)
        return Response(render_proposal(row), status=201)


class PriceProposalView(ApiView):
    @operation("Retrieve a price proposal", tag=TAG, needs=READ, answer=PriceProposalFullOut)
    def get(self, request: Request, price_proposal_id: str) -> Response:  # noqa: ARG002
        return Response(render_full(price_proposal_get(price_proposal_id)))


class PriceProposalApproveView(ApiView):
    """Refused to the one who proposed it, and where the price guard refuses the price."""

    @operation("Approve a price proposal", tag=TAG, needs=WRITE, answer=PriceProposalOut)
    def post(self, request: Request, price_proposal_id: str) -> Response:  # noqa: ARG002
        row = price_proposal_approve(actor=self.actor, proposal_id=price_proposal_id)
        return Response(render_proposal(row))


class PriceProposalRefuseView(ApiView):
    """Refuse another's, or withdraw one's own, before it holds."""

    @operation(
        "Refuse a price proposal",
        tag=TAG,
        needs=WRITE,
        answer=PriceProposalOut,
        body=ProposalReasonIn,
    )
    def post(self, request: Request, price_proposal_id: str) -> Response:  # noqa: ARG002
        row = price_proposal_refuse(
            actor=self.actor, proposal_id=price_proposal_id, **self.body(ProposalReasonIn)
        )
        return Response(render_proposal(row))


class PriceProposalEndView(ApiView):
    """The price that it replaced holds again."""

    @operation(
        "End a price proposal", tag=TAG, needs=WRITE, answer=PriceProposalOut, body=ProposalReasonIn
    )
    def post(self, request: Request, price_proposal_id: str) -> Response:  # noqa: ARG002
        row = price_proposal_end(
            actor=self.actor, proposal_id=price_proposal_id, **self.body(ProposalReasonIn)
        )
        return Response(render_proposal(row))
