"""Our credit notes as Stripe's, with the refunds that belong to them. System scope."""

from __future__ import annotations

from typing import Any

from tenants.billing.models import CreditNote, Refund
from tenants.billing.operators import system_only
from tenants.billing.stripe.amounts import collectable, to_stripe
from tenants.billing.stripe.calls import answer_of, call_named, call_queue
from tenants.billing.stripe.models import StripeCall
from tenants.billing.stripe.names import STRIPE
from tenants.billing.stripe.selectors import invoice_call
from tenants.kernel.money import Money

VOID_KEY = "void:"  # of the credit note that a void writes


def credit_note_send(*, tenant_id: str, credit_note_id: str) -> StripeCall | None:
    """A credit note over what is owed or was paid, for an invoice that Stripe collects.

    What credit had settled never was on Stripe's invoice, nor what is too fine for a card. A void
    needs no note there.
    """
    system_only()
    note: CreditNote = CreditNote.objects.select_related("invoice").get(
        pk=credit_note_id, tenant_id=tenant_id
    )
    made = invoice_call(tenant_id, note.invoice_id)
    if made is None or note.key.startswith(VOID_KEY):
        return None
    currency = note.invoice.currency
    owed, paid = (Money.of(note.parts[name], currency) for name in ("owed", "paid"))
    total = collectable(owed + paid)
    if total.amount <= 0:
        return None
    refunds = _refunds(note)
    refunded = sum((refund.amount for refund, _ in refunds), Money.zero(currency).amount)
    params: dict[str, Any] = {
        "invoice": answer_of(made),
        "amount": to_stripe(total),
        "memo": f"{note.number}: {note.reason}"[:500],
        "email_type": "none",
    }
    if refunds:
        params["refunds"] = [
            {
                "refund": answer_of(call),
                "amount_refunded": to_stripe(Money(refund.amount, currency)),
            }
            for refund, call in refunds
        ]
    elsewhere = collectable(Money(paid.amount - refunded, currency))
    if elsewhere.amount:
        params["out_of_band_amount"] = to_stripe(elsewhere)
    before = refunds[-1][1] if refunds else call_named(tenant_id, "invoice.finalize", made.key)
    return call_queue(
        tenant_id=tenant_id,
        operation="credit_note.create",
        key=note.id,
        params=params,
        after=before,
    )


def _refunds(note: CreditNote) -> list[tuple[Refund, StripeCall]]:
    """What of a note goes back through Stripe, with the calls that send it."""
    rows = Refund.objects.filter(credit_note=note, payment__provider=STRIPE).order_by("id")
    found = [(row, call_named(row.tenant_id, "refund.create", row.key)) for row in rows]
    return [(row, call) for row, call in found if call is not None]
