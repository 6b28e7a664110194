"""The books for staff: the trial balance, tax rates, margins, and the error of quotes."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, UnixTime
from saas.api.operator.costs import RangeQuery, table, table_of
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.billing.models import TaxRate
from tenants.billing.services.tax import tax_rate_set
from tenants.costs.defaults import CURRENCY
from tenants.ledger.audit import projections_wrong
from tenants.ledger.chart import AccountKind
from tenants.ledger.selectors import AccountBalance, ledger_balances, unbalanced
from tenants.pricing.margins import JobMargin, job_margins
from tenants.pricing.selectors import quote_errors

TAG = "operator"
READ, WRITE = "billing.read", "billing.write"


class AccountOut(serializers.Serializer[Any]):
    object = Constant("ledger.account")
    tenant_id = serializers.CharField()
    kind = serializers.ChoiceField(AccountKind.values)
    ref = serializers.CharField()
    currency = serializers.CharField()
    balance = Amount(help_text="Debits less credits.")


class LedgerOut(serializers.Serializer[Any]):
    object = Constant("ledger")
    accounts = AccountOut(many=True)
    sums = serializers.DictField(child=Amount(), help_text="By currency; each is 0.")
    unbalanced = serializers.ListField(
        child=serializers.CharField(), help_text="Transactions that do not balance: none, ever."
    )
    wrong = serializers.ListField(
        child=serializers.CharField(), help_text="Wallets and grants at odds with the postings."
    )


class LedgerQuery(serializers.Serializer[Any]):
    until = UnixTime(required=False, help_text="Of transactions before this moment.")


class TaxRateOut(serializers.Serializer[TaxRate]):
    id = serializers.CharField()
    object = Constant("tax_rate")
    jurisdiction = serializers.CharField()
    name = serializers.CharField()
    rate = Amount(help_text="0.19 is 19%.")
    valid_from = UnixTime()
    created_at = UnixTime()


class TaxRateIn(serializers.Serializer[Any]):
    jurisdiction = serializers.CharField(max_length=40, help_text="Like DE or US-CA.")
    name = serializers.CharField(max_length=60, help_text="As documents show it.")
    rate = Amount(help_text="0.19 is 19%.")
    valid_from = UnixTime()


class MarginOut(serializers.Serializer[Any]):
    object = Constant("margin.job")
    job_id = serializers.CharField()
    tenant_id = serializers.CharField()
    quoted = Amount(allow_null=True, help_text="The quote's expected amount, net of tax.")
    quoted_high = Amount(allow_null=True, help_text="Its upper bound.")
    charged = Amount(help_text="Net of tax.")
    cost = Amount()
    margin = Amount()
    currency = serializers.SerializerMethodField()

    def get_currency(self, row: JobMargin) -> str:  # noqa: ARG002
        return CURRENCY


class MarginsQuery(RangeQuery):
    tenant = serializers.CharField(required=False, max_length=40)


class QuoteErrorOut(serializers.Serializer[Any]):
    object = Constant("quote_error")
    quote_id = serializers.CharField()
    tenant_id = serializers.CharField()
    kind = serializers.CharField()
    created_at = UnixTime()
    low = Amount(source="low.amount")
    expected = Amount(source="expected.amount")
    high = Amount(source="high.amount")
    actual = Amount(source="actual.amount", help_text="What was charged, net of tax.")
    error = Amount(source="error.amount", help_text="actual - expected")
    within = serializers.BooleanField(help_text="Whether actual lies between low and high.")
    currency = serializers.CharField(source="actual.currency")


class QuoteErrorsQuery(serializers.Serializer[Any]):
    start_time = UnixTime(required=False, help_text="Charged from this moment on.")
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=1000)


def render_account(row: AccountBalance) -> dict[str, Any]:
    return {
        "tenant_id": row.tenant_id,
        "kind": row.kind,
        "ref": row.ref,
        "currency": row.amount.currency,
        "balance": row.amount.amount,
    }


def render_rate(row: TaxRate) -> dict[str, Any]:
    return TaxRateOut(row).data


class LedgerView(ApiView):
    @operation("Trial balance", tag=TAG, needs=READ, answer=LedgerOut, query=LedgerQuery)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        rows = ledger_balances(until=self.query(LedgerQuery).get("until"))
        sums: dict[str, Any] = {}
        for row in rows:
            sums[row.amount.currency] = sums.get(row.amount.currency, 0) + row.amount.amount
        answer = {
            "accounts": [render_account(row) for row in rows],
            "sums": sums,
            "unbalanced": unbalanced(),
            "wrong": [str(found) for found in projections_wrong()],
        }
        return Response(LedgerOut(answer).data)


class TaxRatesView(ApiView):
    @operation("List tax rates", tag=TAG, needs=READ, answer=list_of(TaxRateOut), query=PageQuery)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(TaxRate.objects.all(), self.query(PageQuery), render_rate))

    @operation(
        "Set a tax rate", tag=TAG, needs=WRITE, answer=TaxRateOut, status=201, body=TaxRateIn
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        row = tax_rate_set(actor=self.actor, **self.body(TaxRateIn))
        return Response(render_rate(row), status=201)


class MarginsView(ApiView):
    """Each job's quote, charge and cost, in the currency of costs."""

    @operation(
        "Margins of jobs",
        tag=TAG,
        needs="costs.read",
        answer=table_of(MarginOut, "MarginList"),
        query=MarginsQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(MarginsQuery)
        rows = job_margins(
            since=query.get("start_time"),
            until=query.get("end_time"),
            tenant_id=query.get("tenant", ""),
        )
        return table(iter(MarginOut(rows, many=True).data))


class QuoteErrorsView(ApiView):
    @operation(
        "Errors of quotes",
        tag=TAG,
        needs="costs.read",
        answer=table_of(QuoteErrorOut, "QuoteErrorList"),
        query=QuoteErrorsQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(QuoteErrorsQuery)
        rows = quote_errors(since=query.get("start_time"), limit=query["limit"])
        return table(iter(QuoteErrorOut(rows, many=True).data))
