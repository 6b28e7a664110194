"""Statements of all tenants, for staff: approved, made final, rated again."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.acting import acting_on
from saas.api.fields import Amount, Constant, Month, UnixTime
from saas.api.operator.money_in import of_tenant
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.accounts.actors import Actor
from tenants.billing.models import Statement
from tenants.billing.selectors.invoices import statements_visible
from tenants.billing.services.finalising import statement_finalise
from tenants.billing.services.statements import (
    statement_approval_require,
    statement_approve,
    statement_rerate,
)
from tenants.billing.states import StatementState

TAG = "operator"
READ, WRITE = "billing.read", "billing.write"


class StatementOut(serializers.Serializer[Statement]):
    id = serializers.CharField()
    object = Constant("statement")
    tenant_id = serializers.CharField()
    period = Month()
    currency = serializers.CharField()
    state = serializers.ChoiceField(StatementState.values)
    approval = serializers.BooleanField(help_text="Whether it needs an operator's approval.")
    approved_by = serializers.CharField()
    approved_at = UnixTime(allow_null=True)
    residual_in = Amount()
    residual_out = Amount()
    sha256 = serializers.CharField(help_text="Of the rated month; empty until it is final.")
    created_at = UnixTime()
    closed_at = UnixTime(allow_null=True)
    finalised_at = UnixTime(allow_null=True)


class StatementsQuery(PageQuery):
    tenant = serializers.CharField(required=False, max_length=40)
    state = serializers.ChoiceField(StatementState.values, required=False)


class ApprovalIn(serializers.Serializer[Any]):
    required = serializers.BooleanField()  # type: ignore[assignment]


class ReratedOut(serializers.Serializer[Any]):
    object = Constant("statement.rerated")
    bytes = serializers.IntegerField(help_text="Of the canonical JSON; equal, or it is a 409.")


def render(row: Statement) -> dict[str, Any]:
    return StatementOut(row).data


class _StatementView(ApiView):
    def acting(self, statement_id: str) -> Actor:
        return acting_on(self.actor, Statement.objects, statement_id)


class StatementsView(ApiView):
    @operation(
        "List statements", tag=TAG, needs=READ, answer=list_of(StatementOut), query=StatementsQuery
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(StatementsQuery)
        rows = of_tenant(statements_visible(), query)
        rows = rows.filter(state=query["state"]) if "state" in query else rows
        return Response(page(rows, query, render))


class StatementApprovalView(_StatementView):
    @operation(
        "Ask for a statement's approval, or do without",
        tag=TAG,
        needs=WRITE,
        answer=StatementOut,
        body=ApprovalIn,
    )
    def post(self, request: Request, statement_id: str) -> Response:  # noqa: ARG002
        row = statement_approval_require(
            actor=self.acting(statement_id), statement_id=statement_id, **self.body(ApprovalIn)
        )
        return Response(render(row))


class StatementApproveView(_StatementView):
    @operation("Approve a statement", tag=TAG, needs=WRITE, answer=StatementOut)
    def post(self, request: Request, statement_id: str) -> Response:  # noqa: ARG002
        actor = self.acting(statement_id)
        return Response(render(statement_approve(actor=actor, statement_id=statement_id)))


class StatementFinaliseView(_StatementView):
    """One in grace; its invoice is issued."""

    @operation("Make a statement final", tag=TAG, needs=WRITE, answer=StatementOut)
    def post(self, request: Request, statement_id: str) -> Response:  # noqa: ARG002
        actor = self.acting(statement_id)
        return Response(render(statement_finalise(actor=actor, statement_id=statement_id)))


class StatementRerateView(_StatementView):
    """From what was frozen when it became final; another result is a conflict."""

    @operation("Rate a statement again", tag=TAG, needs=WRITE, answer=ReratedOut)
    def post(self, request: Request, statement_id: str) -> Response:  # noqa: ARG002
        text = statement_rerate(actor=self.acting(statement_id), statement_id=statement_id)
        return Response(ReratedOut({"bytes": len(text)}).data)
