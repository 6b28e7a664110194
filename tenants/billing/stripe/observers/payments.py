"""Payments: credited once, from the retrieved payment's own state, however often it is seen."""

from __future__ import annotations

from tenants.billing.models import Payment
from tenants.billing.stripe.findings import finding_open
from tenants.billing.stripe.models import StripeVisit
from tenants.billing.stripe.names import STRIPE
from tenants.billing.stripe.objects import Owner, Seen, object_see
from tenants.billing.stripe.observers.balance import balance_transaction_observe
from tenants.billing.stripe.observers.intake import payment_take
from tenants.billing.stripe.operations import METADATA_FOR, METADATA_TENANT

SUCCEEDED, CANCELED = "succeeded", "canceled"


def intent_observe(seen: Seen) -> None:
    """A top-up's payment: credit it once it succeeded; what fails after that is reviewed."""
    charge = seen.part("latest_charge")
    if charge is not None and (balance := charge.part("balance_transaction")):
        balance_transaction_observe(balance)
    known = Payment.objects.filter(provider=STRIPE, external_id=seen.id).first()
    if known is not None:
        object_see(seen, Owner(known.tenant_id, known.id), amount=seen.amount("amount"))
        _still_paid(known, seen, charge)
        return
    visit = _visit_of(seen)
    if visit is None:
        return
    object_see(seen, Owner(visit.tenant_id, visit.id), amount=seen.amount("amount"))
    if seen.state == SUCCEEDED:
        _credit(visit, seen)
    elif seen.state == CANCELED:
        _end(visit, "the payment was cancelled")


def charge_observe(seen: Seen) -> None:
    """A charge's own news: its fee, and the payment that it belongs to."""
    if balance := seen.part("balance_transaction"):
        balance_transaction_observe(balance)
    known = Payment.objects.filter(
        provider=STRIPE, external_id=seen.id_of("payment_intent")
    ).first()
    if known is not None and seen.data.get("status") == "failed":
        _review(known, seen)


def _visit_of(seen: Seen) -> StripeVisit | None:
    """The visit on which it was paid, by the metadata that only we write."""
    rows = StripeVisit.objects.filter(
        pk=seen.metadata.get(METADATA_FOR, ""), tenant_id=seen.metadata.get(METADATA_TENANT, "")
    )
    found: StripeVisit | None = rows.first()
    return found


def _credit(visit: StripeVisit, seen: Seen) -> None:
    payment = payment_take(tenant_id=visit.tenant_id, intent=seen)
    StripeVisit.objects.filter(pk=visit.pk).update(
        state=StripeVisit.State.DONE, payment_id=payment.id, url="", error=""
    )


def _end(visit: StripeVisit, why: str) -> None:
    StripeVisit.objects.filter(pk=visit.pk).exclude(state=StripeVisit.State.DONE).update(
        state=StripeVisit.State.FAILED, url="", error=why
    )


def _still_paid(known: Payment, seen: Seen, charge: Seen | None) -> None:
    failed = charge is not None and charge.data.get("status") == "failed"
    if failed or seen.data.get("status") != SUCCEEDED:
        _review(known, seen)


def _review(known: Payment, seen: Seen) -> None:
    """The money was counted, and did not come after all."""
    finding_open(
        kind="payment_failed_later",
        subject=known.external_id,
        tenant_id=known.tenant_id,
        evidence={
            "payment": known.id,
            "amount": f"{known.amount:f} {known.currency}",
            "status": str(seen.data.get("status")),
        },
        action="withdraw what is unused of its credit, and ask the customer for another payment",
    )
