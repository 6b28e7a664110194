"""Bank transfers: the customer pays by a reference, an operator brings the bank's list.

Nothing is sent anywhere: a refund is an instruction to the operator's own bank.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from django.conf import settings

from tenants.billing.manual.references import top_up_reference
from tenants.billing.models import Invoice, Payment, PaymentPart
from tenants.billing.providers import MANUAL, Collection, Receipt
from tenants.kernel.money import Money


class ManualProvider:
    name = MANUAL

    def collect(self, invoice: Invoice) -> Collection:
        """Say where to transfer what is left of `invoice`, and under which reference."""
        return _transfer(
            invoice.reference, str(Money(invoice.remaining, invoice.currency).rounded())
        )

    def top_up(self, tenant_id: str, currency: str) -> Collection:
        """Say where to transfer a top-up of any amount."""
        return _transfer(top_up_reference(tenant_id), currency)

    def refund(self, payment: Payment, amount: Decimal, *, key: str) -> str:
        """Name the transfer that the operator makes by hand, once for each `key`."""
        del payment, amount
        return f"transfer:{key}"

    def receipts(self, invoice: Invoice) -> Sequence[Receipt]:
        parts = PaymentPart.objects.filter(invoice=invoice, payment__provider=MANUAL)
        return [
            Receipt(MANUAL, part.payment.external_id, part.amount, part.payment.currency)
            for part in parts.select_related("payment").order_by("id")
        ]


def _transfer(reference: str, amount: str) -> Collection:
    account = tuple(line.strip() for line in settings.COMPANY_BANK.split("|") if line.strip())
    return Collection(
        provider=MANUAL,
        reference=reference,
        instructions=(*account, f"Amount: {amount}", f"Reference: {reference}"),
    )
