"""Orders of services: placed, quoted, accepted, delivered, confirmed, rated.

Both sides see an order, and each has its own acts. The seller touches no money: `order_money.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db.models.functions import Now

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.accounts.standing import tenant_require_active
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from tenants.marketplace.events import OrderMoved, OrderRated
from tenants.marketplace.locks import order_locked
from tenants.marketplace.models import Order, Service
from tenants.marketplace.quantities import milestone_next, milestones_read, require_positive
from tenants.marketplace.selectors import service_get
from tenants.marketplace.services.order_money import order_charge, order_set_aside
from tenants.marketplace.states import ORDER_MOVES, OrderState, require_move

BUY, SELL = "orders.write", "partner.write"


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
    require_positive(quantity, "quantity")
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
        milestones=milestones_read(milestones, quantity),
    )
    if order.price is not None:
        order_set_aside(actor=actor, order=order)
    return _told(actor, order, "order.place")


def order_quote(*, actor: Actor, order_id: str, price: Decimal) -> Order:
    """The seller says its price of one. Raises Conflict, InvalidInput."""
    order = _sold(actor, order_id)
    if order.service.price is not None:
        raise Conflict(f"{order.service} has its price; accept or decline it", code="order_priced")
    require_positive(price, "price")
    order.price = price
    return _move(actor, order, OrderState.QUOTED, "order.quote")


def order_agree(*, actor: Actor, order_id: str) -> Order:
    """The customer takes the quote: its price is set aside. Raises InsufficientCredit."""
    order = _bought(actor, order_id)
    require_move(ORDER_MOVES, f"order {order}", order.state, OrderState.ACCEPTED)
    tenant_require_active(actor)
    if order.state != OrderState.QUOTED:
        raise Conflict(f"{order} waits for its seller", code=f"order_{order.state}")
    order_set_aside(actor=actor, order=order)
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
        quantity = milestone_next(order.milestones, milestone)
    require_positive(quantity, "quantity")
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
    order_charge(tenant_id=order.customer_id, order=order, keep_hold=not done)
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


def rating_count(*, tenant_id: str, service_id: str, stars: int) -> None:
    """Add a customer's rating to its service's (system scope)."""
    del tenant_id
    service = Service.objects.select_for_update().get(pk=service_id)
    service.ratings, service.stars = service.ratings + 1, service.stars + stars
    service.save(update_fields=["ratings", "stars"])


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
