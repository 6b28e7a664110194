"""What our own events lead to in Stripe: handlers for the relay, in the system's scope.

Without a key nothing follows: invoices are settled by bank transfer.
"""

from __future__ import annotations

from tenants.accounts.events import TenantClosed
from tenants.billing.events import (
    CreditNoteIssued,
    InvoiceFinalised,
    InvoiceReminded,
    InvoiceVoided,
    InvoiceWrittenOff,
    PaymentReceived,
)
from tenants.billing.stripe.client import stripe_is_on
from tenants.billing.stripe.events import StripeVisitAsked
from tenants.billing.stripe.services.credit_notes import credit_note_send
from tenants.billing.stripe.services.endings import collections_end
from tenants.billing.stripe.services.invoices import (
    invoice_charge_again,
    invoice_collect,
    invoice_give_up,
    invoice_take_back,
)
from tenants.billing.stripe.services.paid_elsewhere import invoice_payment_report
from tenants.billing.stripe.services.visits import visit_open
from tenants.pricing.events import ContractChanged


def end_collections(event: TenantClosed | ContractChanged) -> None:
    if stripe_is_on():
        collections_end(tenant_id=str(event.tenant_id))


def open_visit(event: StripeVisitAsked) -> None:
    visit_open(tenant_id=str(event.tenant_id), visit_id=event.visit_id)


def collect_invoice(event: InvoiceFinalised) -> None:
    if stripe_is_on():
        invoice_collect(tenant_id=str(event.tenant_id), invoice_id=event.invoice_id)


def charge_invoice_again(event: InvoiceReminded) -> None:
    if stripe_is_on():
        invoice_charge_again(
            tenant_id=str(event.tenant_id), invoice_id=event.invoice_id, day=event.day
        )


def report_payment(event: PaymentReceived) -> None:
    if stripe_is_on():
        invoice_payment_report(tenant_id=str(event.tenant_id), payment_id=event.payment_id)


def send_credit_note(event: CreditNoteIssued) -> None:
    if stripe_is_on():
        credit_note_send(tenant_id=str(event.tenant_id), credit_note_id=event.credit_note_id)


def void_invoice(event: InvoiceVoided) -> None:
    if stripe_is_on():
        invoice_take_back(tenant_id=str(event.tenant_id), invoice_id=event.invoice_id)


def give_up_invoice(event: InvoiceWrittenOff) -> None:
    if stripe_is_on():
        invoice_give_up(tenant_id=str(event.tenant_id), invoice_id=event.invoice_id)
