"""Invoices of all tenants, for staff: credited, voided, written off."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.acting import acting_on
from saas.api.fields import Amount, Constant, UnixTime
from saas.api.operator.money_in import key_of, of_tenant
from saas.api.operator.tenants import ReasonIn
from saas.api.pagination import PageQuery, page
from saas.api.platform.invoices import InvoiceOut
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.accounts.actors import Actor
from tenants.billing.models import CreditNote, Invoice
from tenants.billing.selectors.invoices import invoices_visible
from tenants.billing.services.credit_notes import credit_note_issue
from tenants.billing.services.invoices import invoice_void, invoice_write_off
from tenants.billing.states import InvoiceState

TAG = "operator"
READ, WRITE = "billing.read", "billing.write"


class OperatorInvoiceOut(InvoiceOut):
    tenant_id = serializers.CharField()


class OperatorInvoicesQuery(PageQuery):
    tenant = serializers.CharField(required=False, max_length=40)
    state = serializers.ChoiceField(InvoiceState.values, required=False)


class CreditNoteIn(ReasonIn):
    to = serializers.ChoiceField(
        CreditNote.To.values, help_text="Where goes what was already paid."
    )
    lines = serializers.DictField(
        child=Amount(),
        required=False,
        allow_null=True,
        default=None,
        help_text="Line id → net to give back; null: all that is left.",
    )


class CreditNoteOut(serializers.Serializer[CreditNote]):
    id = serializers.CharField()
    object = Constant("credit_note")
    number = serializers.CharField()
    invoice_id = serializers.CharField()
    tenant_id = serializers.CharField()
    reason = serializers.CharField()
    to = serializers.ChoiceField(CreditNote.To.values)
    net = Amount()
    tax = Amount()
    total = Amount()
    issued_at = UnixTime()


def render(row: Invoice) -> dict[str, Any]:
    return OperatorInvoiceOut(row).data


def render_note(row: CreditNote) -> dict[str, Any]:
    return CreditNoteOut(row).data


def note_made(actor: Actor, invoice_id: str, key: str, sent: dict[str, Any]) -> CreditNote:
    return credit_note_issue(
        actor=acting_on(actor, Invoice.objects, invoice_id),
        invoice_id=invoice_id,
        key=key,
        **sent,
    )


class OperatorInvoicesView(ApiView):
    @operation(
        "List invoices of all tenants",
        tag=TAG,
        needs=READ,
        answer=list_of(OperatorInvoiceOut),
        query=OperatorInvoicesQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(OperatorInvoicesQuery)
        rows = of_tenant(invoices_visible(), query)
        rows = rows.filter(state=query["state"]) if "state" in query else rows
        return Response(page(rows, query, render))


class CreditNotesView(ApiView):
    """What is still owed is given back first; what was paid goes `to` the payer or the wallet."""

    @operation(
        "Issue a credit note",
        tag=TAG,
        needs=WRITE,
        answer=CreditNoteOut,
        status=201,
        body=CreditNoteIn,
    )
    def post(self, request: Request, invoice_id: str) -> Response:
        note = note_made(self.actor, invoice_id, key_of(request), self.body(CreditNoteIn))
        return Response(render_note(note), status=201)


class InvoiceRefundsView(ApiView):
    """A credit note over what was paid, back to the payer."""

    @operation(
        "Refund an invoice", tag=TAG, needs=WRITE, answer=CreditNoteOut, status=201, body=ReasonIn
    )
    def post(self, request: Request, invoice_id: str) -> Response:
        sent = {**self.body(ReasonIn), "to": CreditNote.To.PAYER.value, "lines": None}
        note = note_made(self.actor, invoice_id, key_of(request), sent)
        return Response(render_note(note), status=201)


class InvoiceVoidView(ApiView):
    @operation("Void an invoice", tag=TAG, needs=WRITE, answer=OperatorInvoiceOut, body=ReasonIn)
    def post(self, request: Request, invoice_id: str) -> Response:  # noqa: ARG002
        actor = acting_on(self.actor, Invoice.objects, invoice_id)
        row = invoice_void(actor=actor, invoice_id=invoice_id, **self.body(ReasonIn))
        return Response(render(row))


class InvoiceUncollectibleView(ApiView):
    @operation("Write an invoice off", tag=TAG, needs=WRITE, answer=OperatorInvoiceOut)
    def post(self, request: Request, invoice_id: str) -> Response:  # noqa: ARG002
        actor = acting_on(self.actor, Invoice.objects, invoice_id)
        return Response(render(invoice_write_off(actor=actor, invoice_id=invoice_id)))
