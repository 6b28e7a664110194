"""Money of orders: set aside, charged for what was confirmed, given back.

The customer's credit is set aside in the customer's own scope, when it orders at a price or agrees
to one; each confirmed delivery is usage, and charged from it.
"""

from __future__ import annotations

from decimal import Decimal

from tenants.accounts.actors import Actor
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict
from tenants.kernel.money import Money
from tenants.ledger.services import hold_place, hold_release
from tenants.marketplace.models import Order
from tenants.pricing.canonical import canonical_hash
from tenants.pricing.charge_requests import ChargeItem, ChargeRequest
from tenants.pricing.defaults import AGREED
from tenants.pricing.quotes import QuoteLine, quote_make
from tenants.pricing.services import usage_charge
from tenants.usage.ingestion import NewUsage
from tenants.usage.services import usage_record

METER, SKU = AGREED.meter, AGREED.match["sku"]


def order_set_aside(*, actor: Actor, order: Order) -> None:
    """Quote the whole order by the customer's own terms, and hold the most it can come to.

    Raises InsufficientCredit, Conflict where it has no price, or the price book no agreed prices.
    """
    amount = _worth(order, order.quantity)
    quote = quote_make(
        actor=actor,
        kind="order",
        fingerprint=canonical_hash(["order", order.id]),
        lines=[
            QuoteLine(
                meter=METER, low=amount, expected=amount, high=amount, dimensions=_dimensions(order)
            )
        ],
    )
    high = quote.high_net + quote.high_tax
    if amount > 0 and high == 0:
        raise Conflict(
            "the price book knows no agreed prices of services: its operator publishes one of "
            "service.units for sku agreed",
            code="price_missing",
        )
    if high > 0:
        hold_place(
            tenant_id=order.customer_id,
            key=_hold_key(order.id),
            amount=Money(high, quote.currency),
        )
    order.quote_id = quote.id
    order.save(update_fields=["quote_id"])


def order_charge(*, tenant_id: str, order: Order, keep_hold: bool) -> None:
    """Record what was delivered, as an amount of the agreed price, and charge its customer."""
    amount = _worth(order, order.delivered)
    key = f"order:{order.id}:{order.confirmed.normalize():f}"
    event = NewUsage(METER, amount, now(), "orders", key, _dimensions(order))
    usage_record(tenant_id=tenant_id, events=[event])
    usage_charge(
        tenant_id=tenant_id,
        request=ChargeRequest(
            tenant_id=tenant_id,
            key=key,
            subject_kind="order",
            subject_id=order.id,
            items=[ChargeItem(METER, amount, event.dimensions, event.event_time)],
            hold_key=_hold_key(order.id),
            keep_hold=keep_hold,
            quote_id=order.quote_id,
        ),
    )


def order_settle(*, tenant_id: str, order_id: str) -> None:
    """An order ended: what is still set aside for it goes back to its customer (system scope)."""
    hold_release(tenant_id=tenant_id, key=_hold_key(order_id))


def _hold_key(order_id: str) -> str:
    return f"order:{order_id}"


def _worth(order: Order, quantity: Decimal) -> Decimal:
    if order.price is None:
        raise Conflict(f"{order} has no price yet", code="order_open")
    return quantity * order.price


def _dimensions(order: Order) -> dict[str, str]:
    return {"service": order.service_id, "sku": SKU}
