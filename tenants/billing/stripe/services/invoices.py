"""Our final invoices in Stripe: collected there, and kept in step with what happens to them here.

A Stripe invoice carries what is left to pay as one line, in our cents: nothing is left for Stripe
to add or round. System scope.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from tenants.billing.models import Invoice
from tenants.billing.operators import system_only
from tenants.billing.states import InvoiceState
from tenants.billing.stripe.amounts import collectable, is_too_small, to_stripe
from tenants.billing.stripe.calls import answer_of, attempt_key, call_named, call_queue
from tenants.billing.stripe.client import stripe_mode
from tenants.billing.stripe.findings import finding_open
from tenants.billing.stripe.models import StripeCall, StripeObject
from tenants.billing.stripe.selectors import default_method, invoice_call
from tenants.billing.stripe.services.customers import customer_ensure
from tenants.kernel.clock import now
from tenants.kernel.money import Money


def invoice_collect(*, tenant_id: str, invoice_id: str) -> StripeCall | None:
    """Decide on the calls that put an open invoice before its customer. Safe to repeat.

    With a saved payment method it is charged at once. Returns the call that makes it; None where
    nothing is left that Stripe could collect.
    """
    system_only()
    invoice: Invoice = Invoice.objects.get(pk=invoice_id, tenant_id=tenant_id)
    if invoice.kind == Invoice.Kind.USAGE:
        _take_over(invoice)
    left = Money(invoice.remaining, invoice.currency)
    amount = collectable(left)
    if invoice.state != InvoiceState.OPEN or amount.amount <= 0:
        return None
    if is_too_small(amount):
        _say_too_small(invoice)
        return None
    if amount != left:
        _say_too_fine(invoice, left - amount)
    customer = customer_ensure(tenant_id=tenant_id)
    key = attempt_key(tenant_id, "invoice.finalize", f"{invoice.id}:{customer.key}")
    method = default_method(tenant_id)
    params = {"customer": answer_of(customer), **_params(invoice, method)}
    made = call_queue(
        tenant_id=tenant_id, operation="invoice.create", key=key, params=params, after=customer
    )
    item = call_queue(
        tenant_id=tenant_id,
        operation="invoice_item.create",
        key=key,
        params={
            "customer": answer_of(customer),
            "invoice": answer_of(made),
            "amount": to_stripe(amount),
            "currency": invoice.currency.lower(),
            "description": f"Invoice {invoice.number}, {invoice.period:%B %Y}",
        },
        after=made,
    )
    opened = call_queue(
        tenant_id=tenant_id,
        operation="invoice.finalize",
        key=key,
        params={"auto_advance": False},
        target=made,
        after=item,
    )
    if method:
        _pay(tenant_id, key, made, opened)
    return made


def invoice_charge_again(*, tenant_id: str, invoice_id: str, day: int) -> StripeCall | None:
    """Try the saved payment method once more, once for each reminder's `day`.

    An invoice that never got into Stripe is put there now: its customer had been deleted, or there
    was no key.
    """
    system_only()
    made = invoice_call(tenant_id, invoice_id)
    if made is None:
        return invoice_collect(tenant_id=tenant_id, invoice_id=invoice_id)
    if not default_method(tenant_id):
        return None
    opened = call_named(tenant_id, "invoice.finalize", made.key)
    return _pay(tenant_id, f"{invoice_id}:day:{day}", made, opened)


def invoice_take_back(*, tenant_id: str, invoice_id: str) -> StripeCall | None:
    """Void in Stripe what was voided here."""
    return _close(tenant_id, invoice_id, "invoice.void")


def invoice_give_up(*, tenant_id: str, invoice_id: str) -> StripeCall | None:
    """Mark in Stripe what was written off here; it can still be paid there."""
    return _close(tenant_id, invoice_id, "invoice.mark_uncollectible")


def _params(invoice: Invoice, method: str) -> dict[str, Any]:
    own = {
        "currency": invoice.currency.lower(),
        "auto_advance": False,
        "pending_invoice_items_behavior": "exclude",
        "custom_fields": [{"name": "Invoice", "value": invoice.number}],
    }
    if method:
        return {
            **own,
            "collection_method": "charge_automatically",
            "default_payment_method": method,
        }
    left = (invoice.due_at or now()) - now()
    return {
        **own,
        "collection_method": "send_invoice",
        "days_until_due": max(1, -(-left // dt.timedelta(days=1))),
    }


def _pay(tenant_id: str, key: str, made: StripeCall, after: StripeCall | None) -> StripeCall:
    return call_queue(
        tenant_id=tenant_id,
        operation="invoice.pay",
        key=key,
        params={"off_session": True, "payment_method": default_method(tenant_id)},
        target=made,
        after=after,
    )


def _close(tenant_id: str, invoice_id: str, operation: str) -> StripeCall | None:
    system_only()
    made = invoice_call(tenant_id, invoice_id)
    if made is None:
        return None
    return call_queue(
        tenant_id=tenant_id,
        operation=operation,
        key=made.key,
        target=made,
        after=call_named(tenant_id, "invoice.finalize", made.key),
    )


def _take_over(invoice: Invoice) -> None:
    """A plan's fee that its subscription has not collected is on this invoice now: only here.

    Also where credit has paid for it, so that nothing is left to collect.
    """
    rows = StripeObject.objects.filter(
        tenant_id=invoice.tenant_id,
        kind="invoice",
        mode=stripe_mode(),
        state="open",
        our_id__startswith="plan:",
        our_id__endswith=f":{invoice.period:%Y-%m}",
    )
    for row in rows:
        call_queue(
            tenant_id=invoice.tenant_id,
            operation="invoice.void",
            key=row.stripe_id,
            target=row.stripe_id,
        )


def _say_too_small(invoice: Invoice) -> None:
    """Stripe would call it paid, and put it on top of its customer's next invoice."""
    finding_open(
        kind="amount_too_small",
        subject=invoice.id,
        tenant_id=invoice.tenant_id,
        evidence={"invoice": invoice.number, "left": f"{invoice.remaining:f} {invoice.currency}"},
        action="cards are not charged so little: give it back by a credit note, or wait for a "
        "bank transfer",
    )


def _say_too_fine(invoice: Invoice, rest: Money) -> None:
    finding_open(
        kind="amount_too_fine",
        subject=invoice.id,
        tenant_id=invoice.tenant_id,
        evidence={"invoice": invoice.number, "left_over": str(rest)},
        action="cards cannot be charged so finely: give the rest back by a credit note",
    )
