"""Stripe for staff: what it and our books disagree about, and plan fees that it collects."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.acting import acting_on
from saas.api.fields import Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.accounts.actors import Actor
from tenants.billing.stripe.findings import finding_close
from tenants.billing.stripe.models import StripeFinding
from tenants.billing.stripe.selectors import Subscription, subscription_of
from tenants.billing.stripe.services.subscriptions import subscription_cancel, subscription_start
from tenants.pricing.models import Contract

TAG = "operator"


class FindingsQuery(PageQuery):
    state = serializers.ChoiceField(StripeFinding.State.values, required=False)


class FindingOut(serializers.Serializer[StripeFinding]):
    id = serializers.CharField()
    object = Constant("operator.stripe_finding")
    kind = serializers.CharField()
    subject = serializers.CharField(help_text="Stripe's id, or ours.")
    tenant_id = serializers.CharField()
    evidence = serializers.DictField()
    action = serializers.CharField(help_text="What to do about it.")
    state = serializers.ChoiceField(StripeFinding.State.values)
    first_seen_at = UnixTime()
    last_seen_at = UnixTime()
    closed_at = UnixTime(allow_null=True)


def render(row: StripeFinding) -> dict[str, Any]:
    return FindingOut(row).data


class StripeFindingsView(ApiView):
    @operation(
        "List findings about Stripe",
        tag=TAG,
        needs="billing.read",
        answer=list_of(FindingOut),
        query=FindingsQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(FindingsQuery)
        rows = StripeFinding.objects.all()
        rows = rows.filter(state=query["state"]) if "state" in query else rows
        return Response(page(rows, query, render))


class StripeFindingCloseView(ApiView):
    """It has been dealt with; what is still there is found again."""

    @operation("Close a finding", tag=TAG, needs="billing.write", answer=FindingOut)
    def post(self, request: Request, finding_id: str) -> Response:  # noqa: ARG002
        return Response(render(finding_close(actor=self.actor, finding_id=finding_id)))


class SubscriptionOut(serializers.Serializer[Subscription]):
    object = Constant("operator.subscription")
    contract_id = serializers.CharField()
    tenant_id = serializers.CharField()
    status = serializers.CharField(
        help_text="Stripe's word, or starting, ending, refused; empty: the fee is not collected."
    )
    stripe_id = serializers.CharField()
    error = serializers.CharField(help_text="Why Stripe refused it.")


def collected(actor: Actor, contract_id: str, status: int = 200) -> Response:
    """How a contract's fee is collected; `actor` acts for its tenant."""
    found = subscription_of(tenant_id=actor.tenant_id, contract_id=contract_id)
    return Response(SubscriptionOut(found).data, status=status)


class ContractSubscriptionView(ApiView):
    """The plan fee of a contract, collected through Stripe month by month."""

    @operation(
        "Retrieve a contract's subscription",
        tag=TAG,
        needs="billing.read",
        answer=SubscriptionOut,
    )
    def get(self, request: Request, contract_id: str) -> Response:  # noqa: ARG002
        return collected(acting_on(self.actor, Contract.objects, contract_id), contract_id)

    @operation(
        "Collect a contract's plan fee through Stripe",
        tag=TAG,
        needs="billing.write",
        answer=SubscriptionOut,
        status=201,
    )
    def post(self, request: Request, contract_id: str) -> Response:  # noqa: ARG002
        """The rest of this month at once, each month to come on its first day."""
        actor = acting_on(self.actor, Contract.objects, contract_id)
        subscription_start(actor=actor, contract_id=contract_id)
        return collected(actor, contract_id, status=201)


class ContractSubscriptionCancelView(ApiView):
    """What was paid stays paid; the month's invoice gives back what is too much."""

    @operation(
        "Collect a contract's plan fee no more",
        tag=TAG,
        needs="billing.write",
        answer=SubscriptionOut,
    )
    def post(self, request: Request, contract_id: str) -> Response:  # noqa: ARG002
        actor = acting_on(self.actor, Contract.objects, contract_id)
        subscription_cancel(actor=actor, contract_id=contract_id)
        return collected(actor, contract_id)
