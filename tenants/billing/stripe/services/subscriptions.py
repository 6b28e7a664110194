"""A plan's fee as a subscription in Stripe: paid at the start of each UTC month, in our cents.

The allowance is our own grant, from the contract; the subscription only collects the fee.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.accounts.selectors import tenant_is_closed
from tenants.billing.operators import operators_only
from tenants.billing.periods import Period
from tenants.billing.selectors.tax import tax_profile, tax_treatment
from tenants.billing.stripe.amounts import chargeable, is_too_small, to_stripe
from tenants.billing.stripe.calls import ATTEMPT, answer_of, call_named, call_queue
from tenants.billing.stripe.models import StripeCall
from tenants.billing.stripe.plan_fees import fee_of_month, gross_fee
from tenants.billing.stripe.selectors import default_method, subscription_of
from tenants.billing.stripe.services.customers import customer_ensure
from tenants.billing.stripe.services.plan_fees import plan_fee_charged
from tenants.kernel.clock import now as clock_now
from tenants.kernel.errors import Conflict, NotFound
from tenants.kernel.money import Money
from tenants.pricing.models import Contract
from tenants.pricing.selectors.books import contract_in_force

CREATE = "subscription.create"
ZERO = Decimal(0)


def subscription_start(
    *, actor: Actor, contract_id: str = "", now: dt.datetime | None = None
) -> StripeCall:
    """Decide to collect the plan fee of the actor's tenant through Stripe from now on.

    The rest of this month is paid at once, each month to come on its first day. Safe to repeat;
    one that was refused or has ended is begun anew, and what is paid already is not paid again.
    `contract_id`: only if it is the one in force. Raises PermissionDenied, StripeOff, NotFound
    without a contract that has a plan fee, Conflict where it is another one's, no payment method is
    saved, or the tenant is closed.
    """
    operators_only(actor)
    at = now or clock_now()
    contract = contract_in_force(actor.tenant_id, at)
    found = contract.id if contract is not None and contract.plan_fee else ""
    if contract_id and contract_id != found:
        raise Conflict(f"{contract_id} has no plan fee, or is not in force", code="plan_missing")
    if contract is None or not found:
        raise NotFound("there is no contract with a plan fee in force", code="plan_missing")
    known = call_named(actor.tenant_id, CREATE, contract.id)
    running = subscription_of(tenant_id=actor.tenant_id, contract_id=contract.id).runs
    if known is not None and running:
        return known
    if tenant_is_closed(actor.tenant_id):
        raise Conflict("this organisation is closed", code="tenant_closed")
    method = default_method(actor.tenant_id)
    if not method:
        raise Conflict("save a payment method first", code="payment_method_missing")
    audit_record(actor=actor, action="subscription.start", target=contract.id)
    return _queue(contract, _next_key(contract, known), method, at)


def subscription_cancel(*, actor: Actor, contract_id: str) -> StripeCall:
    """Decide to end a contract's subscription now. What was paid stays paid: the month's statement
    gives back what the contract's end makes too much.

    Raises PermissionDenied, NotFound.
    """
    operators_only(actor)
    made = call_named(actor.tenant_id, CREATE, contract_id)
    if made is None:
        raise NotFound(f"no subscription for {contract_id!r}", param="contract_id")
    audit_record(actor=actor, action="subscription.cancel", target=contract_id)
    return call_queue(
        tenant_id=actor.tenant_id,
        operation="subscription.cancel",
        key=made.key,
        params={"invoice_now": False, "prorate": False},
        target=made,
        after=made,
    )


def _next_key(contract: Contract, last: StripeCall | None) -> str:
    """Of the attempt after the last one."""
    if last is None:
        return str(contract.id)
    number = int(last.key.partition(ATTEMPT)[2] or 1)
    return f"{contract.id}{ATTEMPT}{number + 1}"


def _queue(contract: Contract, key: str, method: str, at: dt.datetime) -> StripeCall:
    tenant_id, month = contract.tenant_id, Period.of(at)
    customer = customer_ensure(tenant_id=tenant_id)
    product = call_queue(
        tenant_id=tenant_id,
        operation="product.create",
        key=key,
        params={"name": "Plan fee"},
        after=customer,
    )
    price = call_queue(
        tenant_id=tenant_id,
        operation="price.create",
        key=key,
        params={
            "product": answer_of(product),
            "currency": contract.currency.lower(),
            "unit_amount": to_stripe(_gross(contract, Money(contract.plan_fee, contract.currency))),
            "recurring": {"interval": "month"},
        },
        after=product,
    )
    is_paid = plan_fee_charged(tenant_id=tenant_id, contract_id=contract.id, period=month)
    first = Money(ZERO if is_paid else fee_of_month(contract, month), contract.currency)
    params: dict[str, Any] = {
        "customer": answer_of(customer),
        "items": [{"price": answer_of(price), "quantity": 1}],
        "collection_method": "charge_automatically",
        "default_payment_method": method,
        "billing_cycle_anchor": int(month.end.timestamp()),
        "proration_behavior": "none",
        "payment_behavior": "allow_incomplete",
        "off_session": True,
        "add_invoice_items": _part_of_month(contract, product, first),
    }
    return call_queue(
        tenant_id=tenant_id,
        operation=CREATE,
        key=key,
        params=params,
        after=price,
    )


def _part_of_month(contract: Contract, product: StripeCall, net: Money) -> list[Any]:
    """The first invoice's only amount: our own share of the month, not Stripe's proration.

    What is too small for a card is left to the month's own invoice.
    """
    gross = _gross(contract, net)
    if not gross.amount or is_too_small(gross):
        return []
    price = {
        "currency": contract.currency.lower(),
        "product": answer_of(product),
        "unit_amount": to_stripe(gross),
    }
    return [{"price_data": price, "quantity": 1}]


def _gross(contract: Contract, net: Money) -> Money:
    """With its tax, rounded up to what a card can be charged by: the rest is credit."""
    treated = tax_treatment(tax_profile(contract.tenant_id), at=clock_now())
    return chargeable(gross_fee(net.amount, treated.rate, contract.currency))
