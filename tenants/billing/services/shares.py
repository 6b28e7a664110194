"""Partners' shares follow money back: by credit notes, and by disputes. System scope."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from django.db.models import Sum

from tenants.billing.models import CreditNote, Invoice, InvoiceLine, Payment, PaymentPart
from tenants.billing.operators import system_only
from tenants.billing.shares import Sold, disputed, sold_back
from tenants.ledger.models import Funding
from tenants.ledger.selectors import transactions_of
from tenants.ledger.services import share_take_back
from tenants.partners.models import Share
from tenants.pricing.charge_lines import seller_in
from tenants.pricing.models import Charge

ZERO = Decimal(0)


def shares_credited(
    *,
    tenant_id: str,
    invoice: Invoice,
    credit_note: CreditNote,
    lines: Mapping[InvoiceLine, Decimal],
) -> None:
    """Take back what partners had of the lines that a credit note gives back."""
    wishes = [
        sold_back(seller_in(line.price_key), line.revenue, line.period, net)
        for line, net in lines.items()
        if net > 0 and seller_in(line.price_key)
    ]
    if wishes:
        share_take_back(
            tenant_id=tenant_id,
            currency=invoice.currency,
            key=f"credit_note:{credit_note.id}:shares",
            wishes=wishes,
            data={"credit_note": credit_note.number},
        )


def shares_disputed(*, tenant_id: str, payment: Payment, dispute: str, amount: Decimal) -> None:
    """Take back what partners had of what a disputed payment paid for, once."""
    system_only()
    if transactions_of(tenant_id=tenant_id).filter(key=_key(dispute)).exists():
        return  # told again: by now the payment may have paid for more
    wishes = [
        wish
        for part in PaymentPart.objects.filter(payment=payment).order_by("id")
        for wish in disputed(_sold(part), amount, payment.amount)
    ]
    if wishes:
        share_take_back(
            tenant_id=tenant_id,
            currency=payment.currency,
            key=_key(dispute),
            wishes=wishes,
            data={"dispute": dispute, "payment": payment.id},
        )


def shares_won(*, tenant_id: str, payment: Payment, dispute: str) -> None:
    """A dispute was won: what its partners had is theirs again, once."""
    system_only()
    share_take_back(
        tenant_id=tenant_id,
        currency=payment.currency,
        key=f"{_key(dispute)}:won",
        renews=_key(dispute),
        data={"dispute": dispute, "payment": payment.id},
    )


def _key(dispute: str) -> str:
    return f"shares:{dispute}"


def _sold(part: PaymentPart) -> list[Sold]:
    """What a part of a payment paid for: of an invoice, or out of the credit that it bought."""
    if part.invoice is not None:
        return _of_invoice(part.invoice, part.amount)
    return _of_credit(part.grant_id) if part.grant_id else []


def _of_invoice(invoice: Invoice, paid: Decimal) -> list[Sold]:
    """Its partners' lines, in the part of the whole that this payment paid."""
    lines = InvoiceLine.objects.filter(invoice=invoice, net__gt=0).order_by("position")
    found = [(seller_in(line.price_key), line) for line in lines]
    share = min(Decimal(1), paid / invoice.total) if invoice.total else ZERO
    return [
        Sold(seller, line.revenue, (line.net * share).quantize(Decimal("1E-12")), line.period)
        for seller, line in found
        if seller
    ]


def _of_credit(grant_id: str) -> list[Sold]:
    """The partners' sales that a grant funded, each in the part of its charge that it paid."""
    paid = dict(
        Funding.objects.filter(grant_id=grant_id, returns__isnull=True)
        .values("transaction_id")
        .annotate(total=Sum("net"))
        .values_list("transaction_id", "total")
    )
    nets = dict(
        Charge.objects.filter(transaction_id__in=list(paid)).values_list("transaction_id", "net")
    )
    shares = Share.objects.filter(transaction_id__in=list(paid), returns__isnull=True)
    return [
        Sold(
            share.seller,
            share.revenue,
            (share.net * paid[share.transaction_id] / nets[share.transaction_id]).quantize(
                Decimal("1E-12")
            ),
            share.period,
            share.transaction_id,
        )
        for share in shares.order_by("id")
        if nets.get(share.transaction_id)
    ]
