"""Contracts for staff: a tenant's terms from a moment on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, Currency, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.kernel.errors import NotFound
from tenants.pricing.contract_terms import NewContract
from tenants.pricing.models import Contract
from tenants.pricing.selectors import contracts_visible
from tenants.pricing.services.contracts import contract_end, contract_write

TAG = "operator"
ZERO = Decimal(0)
READ, WRITE = "billing.read", "billing.write"


class ContractOut(serializers.Serializer[Contract]):
    id = serializers.CharField()
    object = Constant("contract")
    tenant_id = serializers.CharField()
    book_id = serializers.CharField(allow_null=True, help_text="Null: the list's.")
    pinned_version_id = serializers.CharField(allow_null=True, help_text="Null: it follows.")
    starts = UnixTime()
    ends = UnixTime(allow_null=True)
    currency = serializers.CharField()
    discount = Amount()
    plan_fee = Amount()
    commitment = Amount()
    cap = Amount(allow_null=True)
    allowance = Amount()
    credit_limit = Amount()
    created_at = UnixTime()


class ContractIn(serializers.Serializer[Any]):
    tenant_id = serializers.CharField(max_length=40)
    book_id = serializers.CharField(required=False, default="", max_length=40, allow_blank=True)
    pinned_version_id = serializers.CharField(
        required=False, default="", max_length=40, allow_blank=True
    )
    starts = UnixTime(required=False, allow_null=True, default=None, help_text="Default: now.")
    ends = UnixTime(required=False, allow_null=True, default=None)
    currency = Currency(required=False, default="USD")
    discount = Amount(required=False, default=ZERO, help_text="Off every price; 0.1 is 10%.")
    plan_fee = Amount(required=False, default=ZERO, help_text="A month.")
    commitment = Amount(required=False, default=ZERO, help_text="Least that a month comes to.")
    cap = Amount(required=False, allow_null=True, default=None, help_text="Most of a month.")
    allowance = Amount(required=False, default=ZERO, help_text="Credit granted each month.")
    credit_limit = Amount(required=False, default=ZERO, help_text="How much may be owed.")


class ContractEndIn(serializers.Serializer[Any]):
    ends = UnixTime(required=False, allow_null=True, default=None, help_text="Default: now.")


class ContractsQuery(PageQuery):
    tenant = serializers.CharField(required=False, max_length=40)


def render(row: Contract) -> dict[str, Any]:
    return ContractOut(row).data


def contract_get(contract_id: str) -> Contract:
    row: Contract | None = contracts_visible().filter(pk=contract_id).first()
    if row is None:
        raise NotFound(f"no contract {contract_id!r}")
    return row


class ContractsView(ApiView):
    @operation(
        "List contracts", tag=TAG, needs=READ, answer=list_of(ContractOut), query=ContractsQuery
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(ContractsQuery)
        rows = contracts_visible()
        rows = rows.filter(tenant_id=query["tenant"]) if "tenant" in query else rows
        return Response(page(rows, query, render))

    @operation(
        "Write a contract", tag=TAG, needs=WRITE, answer=ContractOut, status=201, body=ContractIn
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(ContractIn)
        tenant_id = sent.pop("tenant_id")
        contract = contract_write(actor=self.actor, tenant_id=tenant_id, terms=NewContract(**sent))
        return Response(render(contract), status=201)


class ContractView(ApiView):
    @operation("Retrieve a contract", tag=TAG, needs=READ, answer=ContractOut)
    def get(self, request: Request, contract_id: str) -> Response:  # noqa: ARG002
        return Response(render(contract_get(contract_id)))


class ContractEndView(ApiView):
    @operation("End a contract", tag=TAG, needs=WRITE, answer=ContractOut, body=ContractEndIn)
    def post(self, request: Request, contract_id: str) -> Response:  # noqa: ARG002
        """The one in force of the tenant that the contract is of."""
        tenant_id = contract_get(contract_id).tenant_id
        ended = contract_end(actor=self.actor, tenant_id=tenant_id, **self.body(ContractEndIn))
        return Response(render(ended))
