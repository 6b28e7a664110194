"""Stripe as what pays partners: transfers to their connected accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenants.billing.models import Payment
from tenants.billing.payouts import Part
from tenants.billing.stripe.amounts import collectable, of_stripe, to_stripe
from tenants.billing.stripe.calls import call_queue
from tenants.billing.stripe.client import stripe_mode
from tenants.billing.stripe.models import StripeObject
from tenants.billing.stripe.names import STRIPE
from tenants.billing.stripe.objects import object_ours
from tenants.billing.stripe.services.partners import ACCOUNT
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.money import Money


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
        left = amount
        rows = StripeObject.objects.filter(
            tenant_id=tenant_id,
            kind="transfer",
            mode=stripe_mode(),
            currency=amount.currency,
            state__startswith="sent",
        )
        for row in rows.order_by("-id"):
            part = min(left, Money(row.amount - _taken(row), amount.currency))
            if part.amount > 0:
                call_queue(
                    tenant_id=tenant_id,
                    operation="transfer.reverse",
                    key=f"{key}:{row.stripe_id}",
                    params={"amount": to_stripe(part)},
                    target=row.stripe_id,
                )
                left -= part
        return amount - left


def _taken(row: StripeObject) -> Any:
    return of_stripe(int(row.data.get("reversed", 0)), row.currency).amount


def _source(part: Part) -> dict[str, str]:
    if not part.payment_id:
        return {}
    payment = Payment.objects.filter(pk=part.payment_id, provider=STRIPE).first()
    if payment is None:
        raise InvalidInput(f"{part.payment_id} is no payment by Stripe", param="sources")
    charge = StripeObject.objects.filter(kind="charge", our_id=payment.id).first()
    return {"source_transaction": charge.stripe_id} if charge else {}
