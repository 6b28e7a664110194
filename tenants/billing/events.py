"""Facts about statements, invoices and payments."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tenants.kernel.events import Event


@dataclass(frozen=True)
class InvoiceFinalised(Event, name="invoice.finalised", aggregate="invoice_id"):
    """An invoice has a number and stands."""

    invoice_id: str
    number: str
    total: Decimal
    due: Decimal
    currency: str


@dataclass(frozen=True)
class InvoicePaid(Event, name="invoice.paid", aggregate="invoice_id"):
    """Nothing is left to pay."""

    invoice_id: str
    number: str


@dataclass(frozen=True)
class InvoiceVoided(Event, name="invoice.voided", aggregate="invoice_id"):
    """It was taken back in full."""

    invoice_id: str
    number: str


@dataclass(frozen=True)
class InvoiceWrittenOff(Event, name="invoice.written_off", aggregate="invoice_id"):
    """What was left to pay is not expected any more."""

    invoice_id: str
    number: str
    amount: Decimal
    currency: str


@dataclass(frozen=True)
class InvoiceReminded(Event, name="invoice.reminded", aggregate="invoice_id"):
    """It is overdue by at least `day` days, and its customer was to be reminded."""

    invoice_id: str
    number: str
    day: int
    remaining: Decimal
    currency: str


@dataclass(frozen=True)
class CreditNoteIssued(Event, name="credit_note.issued", aggregate="invoice_id"):
    """Part of an invoice was given back; `to` is invoice, wallet or payer."""

    invoice_id: str
    credit_note_id: str
    number: str
    total: Decimal
    currency: str
    to: str


@dataclass(frozen=True)
class PaymentReceived(Event, name="payment.received", aggregate="payment_id"):
    """Money came in."""

    payment_id: str
    provider: str
    amount: Decimal
    currency: str


@dataclass(frozen=True)
class PaymentRefunded(Event, name="payment.refunded", aggregate="payment_id"):
    """Money went back to the payer."""

    payment_id: str
    refund_id: str
    amount: Decimal
    currency: str


@dataclass(frozen=True)
class TaxProfileChanged(Event, name="tax_profile.changed", aggregate="tenant_id"):
    """A tenant said who and where it is; its wallets' tax follows."""

    country: str
    region: str
