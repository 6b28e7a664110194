"""Money that comes in, for staff: credit granted, payments, the bank's list of transfers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.acting import acting_for, acting_on
from saas.api.fields import Amount, Constant, Currency, UnixTime
from saas.api.idempotency import given_key
from saas.api.pagination import PageQuery, page
from saas.api.platform.wallet import GrantOut
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.billing.models import BankTransfer, Payment, Refund
from tenants.billing.providers import MANUAL
from tenants.billing.selectors.invoices import payments_visible
from tenants.billing.services.bank_transfers import bank_transfer_assign, bank_transfers_import
from tenants.billing.services.credit import credit_grant
from tenants.billing.services.payments import payment_receive
from tenants.billing.services.refunds import payment_refund
from tenants.kernel.errors import InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.ledger.chart import GrantKind
from tenants.ledger.models import CreditGrant

TAG = "operator"
READ, WRITE = "billing.read", "billing.write"
MAX_KEY = 120  # of a refund or a credit note


def key_of(request: Request) -> str:
    """The caller's `Idempotency-Key`, permanent here, or a new one. Raises InvalidInput."""
    given = given_key(request._request)  # noqa: SLF001 -- DRF offers no other way
    if given is not None and len(given) > MAX_KEY:
        raise InvalidInput(
            f"a key that is kept for ever has at most {MAX_KEY} characters, not {len(given)}",
            param="Idempotency-Key",
        )
    return given or new_id("key_")


class OperatorGrantOut(GrantOut):
    tenant_id = serializers.CharField()
    currency = serializers.CharField(source="wallet.currency")


class GrantIn(serializers.Serializer[Any]):
    tenant_id = serializers.CharField(max_length=40)
    amount = Amount()
    currency = Currency(required=False, default="USD")
    kind = serializers.ChoiceField([GrantKind.PROMOTION.value, GrantKind.ALLOWANCE.value])
    reason = serializers.CharField(max_length=80, help_text="Shown to the customer.")
    expires_at = UnixTime(required=False, allow_null=True, default=None)


class PaymentOut(serializers.Serializer[Payment]):
    id = serializers.CharField()
    object = Constant("payment")
    tenant_id = serializers.CharField()
    provider = serializers.CharField()
    external_id = serializers.CharField()
    currency = serializers.CharField()
    amount = Amount()
    refunded = Amount()
    payer = serializers.CharField()
    received_at = UnixTime()
    created_at = UnixTime()


class PaymentIn(serializers.Serializer[Any]):
    tenant_id = serializers.CharField(max_length=40)
    external_id = serializers.CharField(max_length=120, help_text="The bank's; taken once.")
    amount = Amount()
    currency = Currency(required=False, default="USD")
    invoice_id = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=40, help_text="Empty: a top-up."
    )
    payer = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    received_at = UnixTime(required=False, allow_null=True, default=None)


class RefundIn(serializers.Serializer[Any]):
    amount = Amount(help_text="Unused credit that the payment bought.")


class RefundOut(serializers.Serializer[Refund]):
    id = serializers.CharField()
    object = Constant("refund")
    payment_id = serializers.CharField()
    amount = Amount()
    external_id = serializers.CharField()
    created_at = UnixTime()


class TransferOut(serializers.Serializer[BankTransfer]):
    id = serializers.CharField()
    object = Constant("bank_transfer")
    bank_id = serializers.CharField()
    booked_on = serializers.DateField()
    amount = Amount()
    currency = serializers.CharField()
    reference = serializers.CharField()
    payer = serializers.CharField()
    state = serializers.ChoiceField(BankTransfer.State.values)
    why = serializers.CharField(help_text="It is unmatched.")
    tenant_id = serializers.CharField()
    payment_id = serializers.CharField()
    created_at = UnixTime()


class TransfersIn(serializers.Serializer[Any]):
    csv = serializers.CharField(
        max_length=5_000_000,
        trim_whitespace=False,
        help_text="With the columns date, amount, currency, reference, payer, bank_id.",
    )


class ImportedOut(serializers.Serializer[Any]):
    object = Constant("bank_transfers.import")
    matched = serializers.IntegerField()
    unmatched = serializers.IntegerField(help_text="Wait to be assigned.")
    known = serializers.IntegerField(help_text="Came before.")


class AssignIn(serializers.Serializer[Any]):
    tenant_id = serializers.CharField(max_length=40)
    invoice_number = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=40, help_text="Empty: a top-up."
    )


class TransfersQuery(PageQuery):
    state = serializers.ChoiceField(BankTransfer.State.values, required=False)


class TenantQuery(PageQuery):
    tenant = serializers.CharField(required=False, max_length=40)


def render_grant(row: CreditGrant) -> dict[str, Any]:
    return OperatorGrantOut(row).data


def render_payment(row: Payment) -> dict[str, Any]:
    return PaymentOut(row).data


def render_transfer(row: BankTransfer) -> dict[str, Any]:
    return TransferOut(row).data


def of_tenant(rows: Any, query: dict[str, Any]) -> Any:
    return rows.filter(tenant_id=query["tenant"]) if "tenant" in query else rows


class GrantsView(ApiView):
    @operation(
        "List credit grants",
        tag=TAG,
        needs=READ,
        answer=list_of(OperatorGrantOut),
        query=TenantQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(TenantQuery)
        rows = of_tenant(CreditGrant.objects.select_related("wallet"), query)
        return Response(page(rows, query, render_grant))

    @operation(
        "Grant credit",
        tag=TAG,
        needs=WRITE,
        answer=OperatorGrantOut,
        status=201,
        body=GrantIn,
    )
    def post(self, request: Request) -> Response:
        sent = self.body(GrantIn)
        grant = credit_grant(
            actor=acting_for(self.actor, sent["tenant_id"]),
            key=key_of(request),
            kind=GrantKind(sent["kind"]),
            amount=Money(sent["amount"], sent["currency"]),
            reason=sent["reason"],
            expires_at=sent["expires_at"],
        )
        return Response(render_grant(grant), status=201)


class PaymentsView(ApiView):
    @operation("List payments", tag=TAG, needs=READ, answer=list_of(PaymentOut), query=TenantQuery)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(TenantQuery)
        return Response(page(of_tenant(payments_visible(), query), query, render_payment))

    @operation(
        "Take a payment", tag=TAG, needs=WRITE, answer=PaymentOut, status=201, body=PaymentIn
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(PaymentIn)
        payment = payment_receive(
            actor=acting_for(self.actor, sent["tenant_id"]),
            provider=MANUAL,
            external_id=sent["external_id"],
            amount=Money(sent["amount"], sent["currency"]),
            invoice_id=sent["invoice_id"],
            payer=sent["payer"],
            received_at=sent["received_at"],
        )
        return Response(render_payment(payment), status=201)


class PaymentRefundView(ApiView):
    @operation(
        "Refund a payment", tag=TAG, needs=WRITE, answer=RefundOut, status=201, body=RefundIn
    )
    def post(self, request: Request, payment_id: str) -> Response:
        actor = acting_on(self.actor, Payment.objects, payment_id)
        currency = Payment.objects.values_list("currency", flat=True).get(pk=payment_id)
        amount = Money(self.body(RefundIn)["amount"], currency)
        refund = payment_refund(
            actor=actor, payment_id=payment_id, amount=amount, key=key_of(request)
        )
        return Response(RefundOut(refund).data, status=201)


class BankTransfersView(ApiView):
    @operation(
        "List bank transfers",
        tag=TAG,
        needs=READ,
        answer=list_of(TransferOut),
        query=TransfersQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(TransfersQuery)
        rows = BankTransfer.objects.all()
        rows = rows.filter(state=query["state"]) if "state" in query else rows
        return Response(page(rows, query, render_transfer))

    @operation("Import bank transfers", tag=TAG, needs=WRITE, answer=ImportedOut, body=TransfersIn)
    def post(self, request: Request) -> Response:  # noqa: ARG002
        content = self.body(TransfersIn)["csv"].encode()
        imported = bank_transfers_import(actor=self.actor, content=content)
        return Response(ImportedOut(imported).data)


class BankTransferAssignView(ApiView):
    @operation("Assign a bank transfer", tag=TAG, needs=WRITE, answer=TransferOut, body=AssignIn)
    def post(self, request: Request, transfer_id: str) -> Response:  # noqa: ARG002
        row = bank_transfer_assign(actor=self.actor, transfer_id=transfer_id, **self.body(AssignIn))
        return Response(render_transfer(row))
