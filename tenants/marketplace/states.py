"""The lives of listings, orders and payouts: their states, and which moves there are."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import TextChoices

from tenants.kernel.errors import Conflict


class ListingState(TextChoices):
    SUBMITTED = "submitted"
    CHECKING = "checking"  # the platform runs the conformance kit on its wheel
    CHECKED = "checked"  # it conforms: what it is was read, what it declares was asked
    APPROVED = "approved"
    PUBLISHED = "published"
    SUSPENDED = "suspended"
    REFUSED = "refused"


class OrderState(TextChoices):
    ORDERED = "ordered"
    QUOTED = "quoted"  # the seller says its price; the customer has not agreed yet
    ACCEPTED = "accepted"  # both agree: the price holds, the customer's credit is set aside
    DELIVERED = "delivered"  # the seller says so, with a note
    CONFIRMED = "confirmed"  # the customer agrees, or said nothing for a while: it is charged
    DECLINED = "declined"
    CANCELLED = "cancelled"


class PayoutState(TextChoices):
    ORDERED = "ordered"
    PAID = "paid"


LISTING_MOVES: Mapping[str, frozenset[str]] = {
    ListingState.SUBMITTED: frozenset({ListingState.CHECKING, ListingState.REFUSED}),
    ListingState.CHECKING: frozenset(  # back where it was no fault of the plugin's
        {ListingState.CHECKED, ListingState.REFUSED, ListingState.SUBMITTED}
    ),
    ListingState.CHECKED: frozenset({ListingState.APPROVED, ListingState.REFUSED}),
    ListingState.APPROVED: frozenset({ListingState.PUBLISHED, ListingState.REFUSED}),
    ListingState.PUBLISHED: frozenset({ListingState.SUSPENDED}),
    ListingState.SUSPENDED: frozenset({ListingState.PUBLISHED}),
    ListingState.REFUSED: frozenset(),
}
ORDER_MOVES: Mapping[str, frozenset[str]] = {
    OrderState.ORDERED: frozenset(
        {OrderState.QUOTED, OrderState.ACCEPTED, OrderState.DECLINED, OrderState.CANCELLED}
    ),
    OrderState.QUOTED: frozenset({OrderState.ACCEPTED, OrderState.DECLINED, OrderState.CANCELLED}),
    OrderState.ACCEPTED: frozenset({OrderState.DELIVERED, OrderState.CANCELLED}),
    OrderState.DELIVERED: frozenset({OrderState.CONFIRMED, OrderState.ACCEPTED}),
    OrderState.CONFIRMED: frozenset(),
    OrderState.DECLINED: frozenset(),
    OrderState.CANCELLED: frozenset(),
}


def require_move(moves: Mapping[str, frozenset[str]], what: str, state: str, to: str) -> None:
    """Raises Conflict where `what` cannot go from `state` to `to`."""
    if to not in moves[state]:
        raise Conflict(
            f"{what} is {state}, and cannot become {to}",
            code=f"{what.split(maxsplit=1)[0]}_{state}",
        )
