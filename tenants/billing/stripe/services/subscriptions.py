"""A plan's fee as a subscription in Stripe: paid at the start of each UTC month, in our cents.

The allowance is our own grant, from the contract; the subscription only collects the fee.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.billing.operators import operators_only
from tenants.billing.periods import Period
from tenants.billing.selectors.tax import tax_profile, tax_treatment
from tenants.billing.stripe.amounts import to_stripe
from tenants.billing.stripe.calls import answer_of, call_named, call_queue
from tenants.billing.stripe.models import StripeCall
from tenants.billing.stripe.plan_fees import fee_of_month, gross_fee
from tenants.billing.stripe.selectors import default_method
from tenants.billing.stripe.services.customers import customer_ensure
from tenants.kernel.clock import now as clock_now
from tenants.kernel.errors import Conflict, NotFound
from tenants.kernel.money import Money
from tenants.pricing.models import Contract
from tenants.pricing.selectors.books import contract_in_force


def subscription_start(
    *, actor: Actor, contract_id: str = "", now: dt.datetime | None = None
) -> StripeCall:
    """Decide to collect the plan fee of the actor's tenant through Stripe from now on.

    The rest of this month is paid at once, each month to come on its first day. Safe to repeat.
    `contract_id`: only if it is the one in force. Raises PermissionDenied, StripeOff, NotFound
    without a contract that has a plan fee, Conflict where no payment method is saved.
    """
    operators_only(actor)
    at = now or clock_now()
    contract = contract_in_force(actor.tenant_id, at)
    if contract is None or not contract.plan_fee or contract_id not in {"", contract.id}:
        what = f"{contract_id} is not" if contract_id else "there is no"
        raise NotFound(f"{what} a contract in force with a plan fee", code="plan_missing")
    known = call_named(actor.tenant_id, "subscription.create", contract.id)
    if known is not None:
        return known
    method = default_method(actor.tenant_id)
    if not method:
        raise Conflict("save a payment method first", code="payment_method_missing")
    audit_record(actor=actor, action="subscription.start", target=contract.id)
    return _queue(contract, method, at)


def subscription_cancel(*, actor: Actor, contract_id: str) -> StripeCall:
    """Decide to end a contract's subscription now. What was paid stays paid: the month's statement
    gives back what the contract's end makes too much.

    Raises PermissionDenied, NotFound.
    """
    operators_only(actor)
    made = call_named(actor.tenant_id, "subscription.create", contract_id)
    if made is None:
        raise NotFound(f"no subscription for {contract_id!r}", param="contract_id")
    audit_record(actor=actor, action="subscription.cancel", target=contract_id)
    return call_queue(
        tenant_id=actor.tenant_id,
        operation="subscription.cancel",
        key=contract_id,
        params={"invoice_now": False, "prorate": False},
        target=made,
        after=made,
    )


def _queue(contract: Contract, method: str, at: dt.datetime) -> StripeCall:
    tenant_id, month = contract.tenant_id, Period.of(at)
    customer = customer_ensure(tenant_id=tenant_id)
    product = call_queue(
        tenant_id=tenant_id,
        operation="product.create",
        key=contract.id,
        params={"name": "Plan fee"},
        after=customer,
    )
    price = call_queue(
        tenant_id=tenant_id,
        operation="price.create",
        key=contract.id,
        params={
            "product": answer_of(product),
            "currency": contract.currency.lower(),
            "unit_amount": to_stripe(_gross(contract, Money(contract.plan_fee, contract.currency))),
            "recurring": {"interval": "month"},
        },
        after=product,
    )
    first = Money(fee_of_month(contract, month), contract.currency)
    params: dict[str, Any] = {
        "customer": answer_of(customer),
        "items": [{"price": answer_of(price), "quantity": 1}],
        "collection_method": "charge_automatically",
        "default_payment_method": method,
        "billing_cycle_anchor": int(month.end.timestamp()),
        "proration_behavior": "none",
        "payment_behavior": "allow_incomplete",
        "off_session": True,
        "add_invoice_items": [_part_of_month(contract, product, first)],
    }
    return call_queue(
        tenant_id=tenant_id,
        operation="subscription.create",
        key=contract.id,
        params=params,
        after=price,
    )


def _part_of_month(contract: Contract, product: StripeCall, net: Money) -> dict[str, Any]:
    """The first invoice's only amount: our own share of the month, not Stripe's proration."""
    price = {
        "currency": contract.currency.lower(),
        "product": answer_of(product),
        "unit_amount": to_stripe(_gross(contract, net)),
    }
    return {"price_data": price, "quantity": 1}


def _gross(contract: Contract, net: Money) -> Money:
    treated = tax_treatment(tax_profile(contract.tenant_id), at=clock_now())
    return gross_fee(net.amount, treated.rate, contract.currency)
