"""Stripe as what pays partners: transfers to their connected accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Q

from tenants.billing.models import Payment
from tenants.billing.payouts import Part
from tenants.billing.stripe.amounts import collectable, of_stripe, to_stripe
from tenants.billing.stripe.calls import call_queue
from tenants.billing.stripe.client import stripe_mode
from tenants.billing.stripe.models import StripeCall, StripeObject
from tenants.billing.stripe.names import STRIPE
from tenants.billing.stripe.objects import object_ours
from tenants.billing.stripe.services.partners import ACCOUNT
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.money import Money
from tenants.ledger.services import wallet_lock

WAITING = [StripeCall.State.QUEUED, StripeCall.State.SENT]


class StripePayer:
    name = STRIPE

    def require_ready(self, tenant_id: str) -> None:
        row = object_ours("account", tenant_id, ACCOUNT)
        if row is None:
            raise Conflict("this partner has no account with Stripe yet", code="payout_account")
        if row.state != "active":
            wanted = ", ".join(row.data.get("wanted", [])) or "its own review"
            raise Conflict(f"Stripe still waits for: {wanted}", code="payout_account")

    def payable(self, amount: Money) -> Money:
        return collectable(amount)

    def pay(self, tenant_id: str, parts: Sequence[Part], *, key: str) -> None:
        """One transfer for each part; those out of a payment need no balance of ours."""
        account = object_ours("account", tenant_id, ACCOUNT)
        if account is None:
            raise Conflict("this partner has no account with Stripe yet", code="payout_account")
        for number, part in enumerate(parts, start=1):
            call_queue(
                tenant_id=tenant_id,
                operation="transfer.create",
                key=f"{key}:{number}",
                params={
                    "destination": account.stripe_id,
                    "amount": to_stripe(part.amount),
                    "currency": part.amount.currency.lower(),
                    "transfer_group": key,
                    **_source(part),
                },
            )

    def take_back(self, tenant_id: str, amount: Money, *, key: str) -> Money:
        """Reverse transfers, the latest first. Stripe refuses what the partner has paid out."""
        wallet_lock(tenant_id=tenant_id, currency=amount.currency)
        if known := _reversals(tenant_id, key__startswith=f"{key}:"):
            return _sum(known, amount.currency)
        left = collectable(amount)
        rows = StripeObject.objects.filter(
            tenant_id=tenant_id,
            kind="transfer",
            mode=stripe_mode(),
            currency=amount.currency,
            state__startswith="sent",
        )
        for row in rows.order_by("-id"):
            part = min(left, _reversible(row))
            if part.amount > 0:
                call_queue(
                    tenant_id=tenant_id,
                    operation="transfer.reverse",
                    key=f"{key}:{row.stripe_id}",
                    params={"amount": to_stripe(part)},
                    target=row.stripe_id,
                )
                left -= part
        return collectable(amount) - left


def _reversible(row: StripeObject) -> Money:
    """What of a transfer was not taken back, and is not on its way back, or only just there."""
    unseen = Q(state__in=WAITING) | Q(state=StripeCall.State.DONE, done_at__gt=row.seen_at)
    left = Money(row.amount, row.currency) - of_stripe(row.data.get("reversed", 0), row.currency)
    return left - _sum(_reversals(row.tenant_id, unseen, target=row.stripe_id), row.currency)


def _reversals(tenant_id: str, *which: Q, **more: Any) -> list[StripeCall]:
    """The calls that take something back from a partner."""
    rows = StripeCall.objects.filter(
        *which, tenant_id=tenant_id, operation="transfer.reverse", mode=stripe_mode(), **more
    )
    return list(rows)


def _sum(calls: Sequence[StripeCall], currency: str) -> Money:
    return of_stripe(sum(int(call.params["amount"]) for call in calls), currency)


def _source(part: Part) -> dict[str, str]:
    if not part.payment_id:
        return {}
    payment = Payment.objects.filter(pk=part.payment_id, provider=STRIPE).first()
    if payment is None:
        raise InvalidInput(f"{part.payment_id} is no payment by Stripe", param="sources")
    charge = StripeObject.objects.filter(kind="charge", our_id=payment.id).first()
    return {"source_transaction": charge.stripe_id} if charge else {}
