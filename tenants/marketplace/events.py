"""Facts about listings, orders and payouts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tenants.kernel.events import Event


@dataclass(frozen=True)
class ListingMoved(Event, name="listing.moved", aggregate="listing_id"):
    """A partner's listing went on: submitted, checking, checked, approved, published and so on."""

    listing_id: str
    plugin: str
    version: str
    state: str
    reason: str


@dataclass(frozen=True)
class OrderMoved(Event, name="order.moved", aggregate="order_id"):
    """A service's order went on; `tenant_id` is theirs who moved it."""

    order_id: str
    customer_id: str
    seller_id: str
    state: str


@dataclass(frozen=True)
class OrderRated(Event, name="order.rated", aggregate="order_id"):
    """A customer rated what it was delivered."""

    order_id: str
    service_id: str
    stars: int


@dataclass(frozen=True)
class PartnerStated(Event, name="partner.stated", aggregate="statement_id"):
    """A partner's month is stated."""

    statement_id: str
    currency: str
    share: Decimal


@dataclass(frozen=True)
class PartnerPaidOut(Event, name="partner.paid_out", aggregate="payout_id"):
    """A payout to a partner was ordered."""

    payout_id: str
    amount: Decimal
    currency: str
