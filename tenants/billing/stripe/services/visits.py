"""A customer's way to Stripe's pages: asked for by a member, opened by the system."""

from __future__ import annotations

from typing import Any

from tenants.accounts.actors import Actor
from tenants.billing.operators import system_only
from tenants.billing.selectors.tax import person_of, tax_profile, tax_treatment
from tenants.billing.stripe.amounts import LEAST, chargeable, is_too_small, to_stripe
from tenants.billing.stripe.calls import answer_of, call_queue
from tenants.billing.stripe.models import StripeCall, StripeVisit
from tenants.billing.stripe.operations import METADATA_FOR, METADATA_TENANT
from tenants.billing.stripe.services.asking import visit_ask
from tenants.billing.stripe.services.customers import customer_ensure
from tenants.billing.stripe.services.partners import onboarding_open
from tenants.billing.taxation import top_up_of_wish
from tenants.kernel.clock import now
from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import Money

Kind = StripeVisit.Kind


def top_up_start(*, actor: Actor, amount: Money, back: str) -> StripeVisit:
    """Ask for a page on which `amount` of prepaid credit is bought. The row's `url` comes soon.

    Tax that arises at top-up comes on top, or is in it, as the tenant's tax profile says.

    Raises PermissionDenied, StripeOff, InvalidInput for an amount that cannot be charged.
    """
    if to_stripe(amount) <= 0:
        raise InvalidInput("a top-up is above 0", param="amount")
    if is_too_small(amount):
        least = f"{LEAST[amount.currency]} {amount.currency}"
        raise InvalidInput(f"a card is charged {least} or more", param="amount")
    to_stripe(_with_tax(actor.tenant_id, amount))
    return visit_ask(
        actor=actor,
        kind=Kind.TOP_UP,
        back=back,
        amount=amount.amount,
        currency=amount.currency,
    )


def card_setup_start(*, actor: Actor, currency: str, back: str) -> StripeVisit:
    """Ask for a page on which a payment method is saved. Raises PermissionDenied, StripeOff."""
    return visit_ask(actor=actor, kind=Kind.SETUP, back=back, currency=currency)


def portal_start(*, actor: Actor, back: str) -> StripeVisit:
    """Ask for the Billing Portal. Raises PermissionDenied, StripeOff."""
    return visit_ask(actor=actor, kind=Kind.PORTAL, back=back)


def visit_open(*, tenant_id: str, visit_id: str) -> StripeCall:
    """Decide on the calls that open a visit's page (system scope). Safe to repeat."""
    system_only()
    visit: StripeVisit = StripeVisit.objects.get(pk=visit_id, tenant_id=tenant_id)
    if visit.kind == Kind.ONBOARDING:
        return onboarding_open(tenant_id=tenant_id, visit=visit)
    customer = customer_ensure(tenant_id=tenant_id)
    is_portal = visit.kind == Kind.PORTAL
    params = {"customer": answer_of(customer), **_PARAMS[Kind(visit.kind)](visit)}
    return call_queue(
        tenant_id=tenant_id,
        operation="portal.create" if is_portal else "checkout.create",
        key=visit.id,
        params=params,
        after=customer,
    )


def _top_up(visit: StripeVisit) -> dict[str, Any]:
    assert visit.amount is not None  # noqa: S101 -- a top-up has one
    money = _with_tax(visit.tenant_id, Money(visit.amount, visit.currency))
    ours = {METADATA_FOR: visit.id, METADATA_TENANT: visit.tenant_id}
    price = {
        "currency": visit.currency.lower(),
        "unit_amount": to_stripe(money),
        "product_data": {"name": "Prepaid credit"},
    }
    return {
        "mode": "payment",
        "client_reference_id": visit.id,
        "line_items": [{"price_data": price, "quantity": 1}],
        "payment_intent_data": {"metadata": ours},
        "success_url": visit.return_url,
        "cancel_url": visit.return_url,
    }


def _with_tax(tenant_id: str, wish: Money) -> Money:
    """What is paid for the credit that was asked for: with the tax that arises at top-up.

    Rounded up to what a card can be charged by: the rest is credit, too.
    """
    profile = tax_profile(tenant_id)
    treated = tax_treatment(profile, at=now())
    bought = top_up_of_wish(wish.amount, treated, person_of(profile), wish.currency)
    return chargeable(Money(bought.paid, wish.currency))


def _setup(visit: StripeVisit) -> dict[str, Any]:
    return {
        "mode": "setup",
        "currency": visit.currency.lower(),
        "client_reference_id": visit.id,
        "success_url": visit.return_url,
        "cancel_url": visit.return_url,
    }


def _portal(visit: StripeVisit) -> dict[str, Any]:
    return {"return_url": visit.return_url}


_PARAMS = {Kind.TOP_UP: _top_up, Kind.SETUP: _setup, Kind.PORTAL: _portal}
