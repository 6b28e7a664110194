"""Taking a payment that Stripe has received: onto an invoice, or as credit."""

from __future__ import annotations

from tenants.accounts.actors import system_actor
from tenants.billing.models import Payment
from tenants.billing.services.payments import payment_receive
from tenants.billing.stripe.amounts import of_stripe
from tenants.billing.stripe.findings import finding_open
from tenants.billing.stripe.names import STRIPE
from tenants.billing.stripe.objects import Owner, Seen, object_see
from tenants.kernel.errors import Conflict
from tenants.kernel.scope import atomic


def payment_take(*, tenant_id: str, intent: Seen, invoice_id: str = "") -> Payment:
    """Take what a succeeded PaymentIntent received, once.

    For an invoice that takes no payment any more it becomes credit, and a person looks at it.
    """
    try:
        with atomic():
            return _received(tenant_id, intent, invoice_id)
    except Conflict as error:
        if not (invoice_id and error.code.startswith("invoice_")):
            raise
        finding_open(
            kind="paid_in_vain",
            subject=intent.id,
            tenant_id=tenant_id,
            evidence={"invoice": invoice_id, "why": error.message},
            action="it was taken as prepaid credit: refund it if the customer wants it back",
        )
        return _received(tenant_id, intent, "")


def _received(tenant_id: str, intent: Seen, invoice_id: str) -> Payment:
    payment = payment_receive(
        actor=system_actor(tenant_id),
        provider=STRIPE,
        external_id=intent.id,
        amount=of_stripe(int(intent.data["amount_received"]), intent.currency),
        invoice_id=invoice_id,
    )
    object_see(intent, Owner(tenant_id, payment.id), amount=payment.amount)
    if charge := intent.id_of("latest_charge"):  # by it a partner is paid before it is available
        facts = {"object": "charge", "id": charge, "currency": payment.currency}
        seen = Seen({**facts, "status": "succeeded"}, intent.at)
        object_see(seen, Owner(tenant_id, payment.id), amount=payment.amount)
    return payment
