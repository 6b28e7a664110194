"""Stripe as one of billing's providers. It decides on calls; nothing is sent here."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tenants.billing.models import Invoice, Payment, PaymentPart
from tenants.billing.providers import Collection, Receipt
from tenants.billing.stripe.amounts import to_stripe
from tenants.billing.stripe.calls import call_queue
from tenants.billing.stripe.names import STRIPE
from tenants.billing.stripe.selectors import invoice_page
from tenants.billing.stripe.services.invoices import invoice_collect
from tenants.kernel.money import Money


class StripeProvider:
    name = STRIPE

    def collect(self, invoice: Invoice) -> Collection:
        """Put `invoice` before its customer. The page on which it is paid comes a little later."""
        invoice_collect(tenant_id=invoice.tenant_id, invoice_id=invoice.id)
        page = invoice_page(tenant_id=invoice.tenant_id, invoice_id=invoice.id)
        return Collection(STRIPE, invoice.reference, (f"Pay online: {page}",) if page else ())

    def top_up(self, tenant_id: str, currency: str) -> Collection:
        """A top-up is paid on a page of its own, which a member asks for (`top_up_start`)."""
        del tenant_id
        return Collection(STRIPE, "", (f"Pay any amount of {currency} by card or bank debit",))

    def refund(self, payment: Payment, amount: Decimal, *, key: str) -> str:
        """Decide on sending `amount` back, once for each `key`; return the call's id."""
        call = call_queue(
            tenant_id=payment.tenant_id,
            operation="refund.create",
            key=key,
            params={
                "payment_intent": payment.external_id,
                "amount": to_stripe(Money(amount, payment.currency)),
            },
        )
        return str(call.id)

    def receipts(self, invoice: Invoice) -> Sequence[Receipt]:
        parts = PaymentPart.objects.filter(invoice=invoice, payment__provider=STRIPE)
        return [
            Receipt(STRIPE, part.payment.external_id, part.amount, part.payment.currency)
            for part in parts.select_related("payment").order_by("id")
        ]
