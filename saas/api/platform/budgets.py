"""Budgets: a month's limits for the organisation, one API key or one model."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from saas.budgets import with_use
from saas.currencies import currency_of
from tenants.accounts.selectors import api_key_get
from tenants.kernel.errors import NotFound
from tenants.kernel.money import Money
from tenants.ledger.models import Budget
from tenants.ledger.services import budget_archive, budget_create, budget_update

TAG = "budgets"
READ, WRITE = "billing.read", "billing.write"


class BudgetOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("budget")
    subject = serializers.ChoiceField(Budget.Subject.values)
    ref = serializers.CharField(help_text="The API key's id or the model's name.")
    currency = serializers.CharField()
    soft = Amount(allow_null=True, help_text="Beyond it you are told, once a month.")
    hard = Amount(allow_null=True, help_text="Beyond it nothing that costs money is begun.")
    spent = Amount(source="spent_now", help_text="This UTC month, tax in it.")
    held = Amount(source="held_now", help_text="Set aside for running work.")
    created_at = UnixTime()
    archived_at = UnixTime(allow_null=True)


class LimitsIn(serializers.Serializer[Any]):
    soft = Amount(required=False, allow_null=True)
    hard = Amount(required=False, allow_null=True)


class BudgetIn(LimitsIn):
    subject = serializers.ChoiceField(Budget.Subject.values, required=False, default="tenant")
    ref = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)


class BudgetsQuery(PageQuery):
    archived = serializers.BooleanField(
        required=False, default=False, help_text="Those that are archived too."
    )


def render(row: Any) -> dict[str, Any]:
    return BudgetOut(row).data


def budget_get(budget_id: str) -> Any:
    row = with_use(Budget.objects.filter(pk=budget_id)).first()
    if row is None:
        raise NotFound(f"no budget {budget_id!r} in your organisation")
    return row


def limits_of(sent: dict[str, Any], currency: str) -> dict[str, Money | None]:
    return {
        name: None if sent.get(name) is None else Money(sent[name], currency)
        for name in ("soft", "hard")
    }


class BudgetsView(ApiView):
    @operation("List budgets", tag=TAG, needs=READ, answer=list_of(BudgetOut), query=BudgetsQuery)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(BudgetsQuery)
        rows = with_use(Budget.objects.all())
        rows = rows if query["archived"] else rows.filter(archived_at__isnull=True)
        return Response(page(rows, query, render))

    @operation("Create a budget", tag=TAG, needs=WRITE, answer=BudgetOut, status=201, body=BudgetIn)
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(BudgetIn)
        if sent["subject"] == Budget.Subject.API_KEY:
            api_key_get(sent["ref"])  # one that is there; a model may be made later
        currency = currency_of(self.actor.tenant_id)
        budget = budget_create(
            actor=self.actor,
            subject=Budget.Subject(sent["subject"]),
            ref=sent["ref"],
            currency=currency,
            **limits_of(sent, currency),
        )
        return Response(render(budget_get(budget.id)), status=201)


class BudgetView(ApiView):
    @operation("Retrieve a budget", tag=TAG, needs=READ, answer=BudgetOut)
    def get(self, request: Request, budget_id: str) -> Response:  # noqa: ARG002
        return Response(render(budget_get(budget_id)))

    @operation("Change a budget", tag=TAG, needs=WRITE, answer=BudgetOut, body=LimitsIn)
    def post(self, request: Request, budget_id: str) -> Response:  # noqa: ARG002
        """Limits that are not sent stay; null takes one away."""
        row = budget_get(budget_id)
        sent = {"soft": row.soft, "hard": row.hard} | self.body(LimitsIn)
        budget_update(actor=self.actor, budget_id=budget_id, **limits_of(sent, row.currency))
        return Response(render(budget_get(budget_id)))

    @operation("Archive a budget", tag=TAG, needs=WRITE, answer=BudgetOut)
    def delete(self, request: Request, budget_id: str) -> Response:  # noqa: ARG002
        budget_archive(actor=self.actor, budget_id=budget_id)
        return Response(render(budget_get(budget_id)))
