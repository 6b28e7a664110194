"""Orders of services: placed, quoted, accepted, delivered, confirmed, rated.

The customer's credit is set aside in the customer's own scope, when it orders at a price or agrees
to one; each confirmed delivery is usage, and charged from it. The seller touches no money.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db.models.functions import Now

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.accounts.standing import tenant_require_active
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.outbox import emit
from tenants.ledger.services import hold_place, hold_release
from tenants.marketplace.events import OrderMoved, OrderRated
from tenants.marketplace.locks import order_locked
from tenants.marketplace.models import Order, Service
from tenants.marketplace.selectors import service_get
from tenants.marketplace.states import ORDER_MOVES, OrderState, require_move
from tenants.pricing.canonical import canonical_hash
from tenants.pricing.charge_requests import ChargeItem, ChargeRequest
from tenants.pricing.quotes import QuoteLine, quote_make
from tenants.pricing.services import usage_charge
from tenants.usage.ingestion import NewUsage
from tenants.usage.services import usage_record

METER, AGREED = "service.units", "agreed"
BUY, SELL = "orders.write", "partner.write"
MOST = Decimal(10) ** 9
MAX_MILESTONES = 50


def order_place(
    *,
    actor: Actor,
    service_id: str,
    quantity: Decimal = Decimal(1),
    wish: str = "",
    milestones: Sequence[Mapping[str, Any]] = (),
) -> Order:
    """Order a service: `quantity` of it, in milestones where they are named.

    A listed price is set aside at once; else the seller quotes first. Raises NotFound,
    InvalidInput, InsufficientCredit.
    """
    actor.require(BUY)
    customer = tenant_require_active(actor)
    service = service_get(service_id)
    _positive(quantity, "quantity")
    order: Order = Order.objects.create(
        id=new_id("ord_"),
        customer_id=actor.tenant_id,
        customer_name=customer.name,
        seller_id=service.partner_id,
        service=service,
        quantity=quantity,
        price=service.price,
        currency=service.currency,
        wish=wish.strip()[:2000],
        milestones=_milestones(milestones, quantity),
    )
    if order.price is not None:
        _set_aside(actor, order)
    return _told(actor, order, "order.place")


def order_quote(*, actor: Actor, order_id: str, price: Decimal) -> Order:
    """The seller says its price of one. Raises Conflict, InvalidInput."""
    order = _sold(actor, order_id)
    if order.service.price is not None:
        raise Conflict(f"{order.service} has its price; accept or decline it", code="order_priced")
    _positive(price, "price")
    order.price = price
    return _move(actor, order, OrderState.QUOTED, "order.quote")


def order_agree(*, actor: Actor, order_id: str) -> Order:
    """The customer takes the quote: its price is set aside. Raises InsufficientCredit."""
    order = _bought(actor, order_id)
    require_move(ORDER_MOVES, f"order {order}", order.state, OrderState.ACCEPTED)
    tenant_require_active(actor)
    if order.state != OrderState.QUOTED:
        raise Conflict(f"{order} waits for its seller", code=f"order_{order.state}")
    _set_aside(actor, order)
    return _move(actor, order, OrderState.ACCEPTED, "order.agree")


def order_accept(*, actor: Actor, order_id: str) -> Order:
    """The seller takes an order at its listed price."""
    order = _sold(actor, order_id)
    if order.price is None or order.state == OrderState.QUOTED:
        raise Conflict(f"{order} is quoted first, and agreed to by its customer", code="order_open")
    return _move(actor, order, OrderState.ACCEPTED, "order.accept")


def order_decline(*, actor: Actor, order_id: str, reason: str = "") -> Order:
    """The seller does not take it; what was set aside goes back."""
    order = _sold(actor, order_id)
    order.note = reason.strip()[:2000]
    return _move(actor, order, OrderState.DECLINED, "order.decline")


def order_cancel(*, actor: Actor, order_id: str) -> Order:
    """The customer wants it no more; what was delivered and confirmed stays charged."""
    order = _bought(actor, order_id)
    return _move(actor, order, OrderState.CANCELLED, "order.cancel")


def order_deliver(
    *, actor: Actor, order_id: str, quantity: Decimal, note: str, milestone: int | None = None
) -> Order:
    """The seller says what it delivered: hours, pieces, or a whole milestone by its number.

    Raises Conflict, InvalidInput for more than is left or a milestone that is not the next one.
    """
    order = _sold(actor, order_id)
    require_move(ORDER_MOVES, f"order {order}", order.state, OrderState.DELIVERED)
    if milestone is not None or order.milestones:
        quantity = _milestone(order, milestone)
    _positive(quantity, "quantity")
    left = order.quantity - order.confirmed
    if quantity > left:
        raise InvalidInput(f"{left:f} of {order.quantity:f} are left to deliver", param="quantity")
    if not 1 <= len(note.strip()) <= 2000:
        raise InvalidInput("a delivery note has 1 to 2000 characters", param="note")
    order.delivered, order.note, order.delivered_at = quantity, note.strip(), Now()
    return _move(actor, order, OrderState.DELIVERED, "order.deliver")


def order_reject(*, actor: Actor, order_id: str, reason: str) -> Order:
    """The customer does not agree that it was delivered; the seller reads why, and goes on."""
    order = _bought(actor, order_id)
    if not 1 <= len(reason.strip()) <= 2000:
        raise InvalidInput("say why, in 1 to 2000 characters", param="reason")
    if order.state != OrderState.DELIVERED:
        raise Conflict(f"{order} is {order.state}: nothing to reject", code=f"order_{order.state}")
    order.delivered, order.note = Decimal(0), reason.strip()
    return _move(actor, order, OrderState.ACCEPTED, "order.reject")


def order_confirm(*, actor: Actor, order_id: str) -> Order:
    """The customer agrees that it was delivered: that much is charged, from what was set aside.

    Where more is to come, the order goes on; else it is done.
    """
    order = _bought(actor, order_id)
    if order.state != OrderState.DELIVERED:
        raise Conflict(f"{order} is {order.state}: nothing to confirm", code=f"order_{order.state}")
    confirmed = order.confirmed + order.delivered
    done = confirmed == order.quantity
    _charge(order, keep_hold=not done)
    for place, milestone in enumerate(order.milestones):
        if not milestone["confirmed"]:
            order.milestones[place] = {**milestone, "confirmed": True}
            break
    order.confirmed, order.delivered, order.confirmed_at = confirmed, Decimal(0), Now()
    state = OrderState.CONFIRMED if done else OrderState.ACCEPTED
    return _move(actor, order, state, "order.confirm")


def order_rate(*, actor: Actor, order_id: str, stars: int) -> Order:
    """The customer rates what was confirmed, once, with 1 to 5 stars."""
    order = _bought(actor, order_id)
    if not 1 <= stars <= 5:
        raise InvalidInput("a rating is 1 to 5 stars", param="stars")
    if order.state != OrderState.CONFIRMED or order.rating is not None:
        raise Conflict("an order is rated once, when it is confirmed", code="order_rating")
    order.rating = stars
    order.save(update_fields=["rating"])
    audit_record(actor=actor, action="order.rate", target=order.id)
    emit(OrderRated(order.customer_id, order_id=order.id, service_id=order.service_id, stars=stars))
    return order


def order_settle(*, tenant_id: str, order_id: str) -> None:
    """An order ended: what is still set aside for it goes back to its customer (system scope)."""
    hold_release(tenant_id=tenant_id, key=_hold_key(order_id))


def rating_count(*, tenant_id: str, service_id: str, stars: int) -> None:
    """Add a customer's rating to its service's (system scope)."""
    del tenant_id
    service = Service.objects.select_for_update().get(pk=service_id)
    service.ratings, service.stars = service.ratings + 1, service.stars + stars
    service.save(update_fields=["ratings", "stars"])


def _hold_key(order_id: str) -> str:
    return f"order:{order_id}"


def _set_aside(actor: Actor, order: Order) -> None:
    """Quote the whole order by the customer's own terms, and hold the most it can come to."""
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


def _charge(order: Order, *, keep_hold: bool) -> None:
    """Record what was delivered, as an amount of the agreed price, and charge it."""
    amount = _worth(order, order.delivered)
    key = f"order:{order.id}:{order.confirmed.normalize():f}"
    event = NewUsage(METER, amount, now(), "orders", key, _dimensions(order))
    usage_record(tenant_id=order.customer_id, events=[event])
    usage_charge(
        tenant_id=order.customer_id,
        request=ChargeRequest(
            tenant_id=order.customer_id,
            key=key,
            subject_kind="order",
            subject_id=order.id,
            items=[ChargeItem(METER, amount, event.dimensions, event.event_time)],
            hold_key=_hold_key(order.id),
            keep_hold=keep_hold,
            quote_id=order.quote_id,
        ),
    )


def _worth(order: Order, quantity: Decimal) -> Decimal:
    if order.price is None:
        raise Conflict(f"{order} has no price yet", code="order_open")
    return quantity * order.price


def _dimensions(order: Order) -> dict[str, str]:
    return {"service": order.service_id, "sku": AGREED}


def _milestones(given: Sequence[Mapping[str, Any]], quantity: Decimal) -> list[dict[str, Any]]:
    if len(given) > MAX_MILESTONES:
        raise InvalidInput(f"at most {MAX_MILESTONES} milestones", param="milestones")
    parts = [Decimal(str(each["quantity"])) for each in given]
    for part in parts:
        _positive(part, "milestones")
    if parts and sum(parts) != quantity:
        raise InvalidInput(
            f"the milestones come to {sum(parts):f}, the order to {quantity:f}", param="milestones"
        )
    return [
        {"title": str(each["title"])[:120], "quantity": f"{part:f}", "confirmed": False}
        for each, part in zip(given, parts, strict=True)
    ]


def _milestone(order: Order, number: int | None) -> Decimal:
    """The quantity of the next milestone, which `number` (from 1) must name, where it is given."""
    for place, each in enumerate(order.milestones, 1):
        if not each["confirmed"]:
            if number not in {None, place}:
                raise InvalidInput(f"the next milestone is {place}", param="milestone")
            return Decimal(each["quantity"])
    raise InvalidInput("this order has no milestone to deliver", param="milestone")


def _positive(value: Decimal, name: str) -> None:
    if not value.is_finite() or not 0 < value < MOST or value != round(value, 6):
        raise InvalidInput(f"{name} is above 0, with at most 6 decimals", param=name)


def _bought(actor: Actor, order_id: str) -> Order:
    actor.require(BUY)
    return _own(order_locked(order_id), "customer_id", actor)


def _sold(actor: Actor, order_id: str) -> Order:
    actor.require(SELL)
    return _own(order_locked(order_id), "seller_id", actor)


def _own(order: Order, side: str, actor: Actor) -> Order:
    """Both sides see an order; each has its own acts. Raises NotFound."""
    if getattr(order, side) != actor.tenant_id:
        raise NotFound(f"no order {order.id!r}", param="order_id")
    return order


def _move(actor: Actor, order: Order, state: OrderState, action: str) -> Order:
    require_move(ORDER_MOVES, f"order {order}", order.state, state)
    order.state = state
    if state == OrderState.ACCEPTED and order.accepted_at is None:
        order.accepted_at = Now()
    order.save()
    return _told(actor, order, action)


def _told(actor: Actor, order: Order, action: str) -> Order:
    order.refresh_from_db(fields=["created_at", "accepted_at", "delivered_at", "confirmed_at"])
    audit_record(actor=actor, action=action, target=order.id)
    emit(
        OrderMoved(
            actor.tenant_id,
            order_id=order.id,
            customer_id=order.customer_id,
            seller_id=order.seller_id,
            state=order.state,
        )
    )
    return order
