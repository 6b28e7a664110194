"""The wallet: credit, what of it is held, what is owed, and every transaction that moved it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from saas.currencies import currency_of
from tenants.billing.providers import MANUAL, provider_named
from tenants.ledger.chart import AccountKind, GrantKind
from tenants.ledger.models import CreditGrant, LedgerPosting, LedgerTransaction
from tenants.ledger.selectors import Balance, transactions_of, wallet_balance

TAG = "wallet"
READ = "billing.read"


class GrantOut(serializers.Serializer[CreditGrant]):
    id = serializers.CharField()
    object = Constant("credit_grant")
    kind = serializers.ChoiceField(GrantKind.values)
    amount = Amount(help_text="What it was at first.")
    remaining = Amount()
    held = Amount(help_text="Of what remains, set aside for running work.")
    priority = serializers.IntegerField(help_text="The lowest is used first, within a kind.")
    source = serializers.CharField()  # type: ignore[assignment]
    tax_included = serializers.BooleanField(help_text="Taxed when it was bought.")
    expires_at = UnixTime(allow_null=True)
    created_at = UnixTime()


class TopUpOut(serializers.Serializer[Any]):
    provider = serializers.CharField()
    reference = serializers.CharField(help_text="What a transfer of any amount must say.")
    instructions = serializers.ListField(child=serializers.CharField())


class WalletOut(serializers.Serializer[Any]):
    object = Constant("wallet")
    currency = serializers.CharField()
    available = Amount(help_text="What can be spent now: free credit, and room under the limit.")
    credit = Amount(help_text="What is left of all grants, held or not.")
    held = Amount(help_text="Set aside for running work.")
    owed = Amount()
    credit_limit = Amount(help_text="How much may be owed; 0: prepaid only.")
    tax_rate = Amount(help_text="Taken as credit is used; 0.19 is 19%.")
    grants = GrantOut(many=True, help_text="In the order in which they are used.")
    top_up = TopUpOut(help_text="How to buy credit.")


class PostingOut(serializers.Serializer[LedgerPosting]):
    account = serializers.ChoiceField(AccountKind.values, source="account.kind")
    ref = serializers.CharField(source="account.ref", help_text="Of a grant's account its id.")
    amount = Amount(help_text="Debit above zero, credit below.")
    currency = serializers.CharField()


class TransactionOut(serializers.Serializer[LedgerTransaction]):
    id = serializers.CharField()
    object = Constant("wallet.transaction")
    kind = serializers.CharField()
    key = serializers.CharField(help_text="Its own for ever: nothing is posted twice under it.")
    reverses = serializers.CharField(source="reverses_id", allow_null=True)
    occurred_at = UnixTime()
    created_at = UnixTime()
    postings = PostingOut(many=True, help_text="Those on your own accounts.")


class TransactionsQuery(PageQuery):
    kind = serializers.CharField(required=False, max_length=24)


def render_wallet(balance: Balance, tenant_id: str, currency: str) -> dict[str, Any]:
    names = ("available", "credit", "held", "owed", "credit_limit")
    amounts = {name: getattr(balance, name).amount for name in names}
    rest = {"currency": currency, "tax_rate": balance.tax_rate, "grants": balance.grants}
    bought = {"top_up": provider_named(MANUAL).top_up(tenant_id, currency)}
    answer: dict[str, Any] = WalletOut({**amounts, **rest, **bought}).data
    return answer


def render_transaction(row: LedgerTransaction) -> dict[str, Any]:
    return TransactionOut(row).data


class WalletView(ApiView):
    @operation("Retrieve the wallet", tag=TAG, needs=READ, answer=WalletOut)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        tenant_id = self.actor.tenant_id
        currency = currency_of(tenant_id)
        balance = wallet_balance(tenant_id=tenant_id, currency=currency)
        return Response(render_wallet(balance, tenant_id, currency))


class WalletTransactionsView(ApiView):
    @operation(
        "List the wallet's transactions",
        tag=TAG,
        needs=READ,
        answer=list_of(TransactionOut),
        query=TransactionsQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(TransactionsQuery)
        rows = transactions_of(tenant_id=self.actor.tenant_id, kind=query.get("kind", ""))
        return Response(page(rows.prefetch_related("postings__account"), query, render_transaction))
