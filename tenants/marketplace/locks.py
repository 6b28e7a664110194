"""Row locks of the marketplace."""

from __future__ import annotations

from tenants.kernel.errors import NotFound
from tenants.marketplace.models import Listing, Order


def listing_locked(listing_id: str) -> Listing:
    """Raises NotFound."""
    row: Listing | None = Listing.objects.select_for_update().filter(pk=listing_id).first()
    if row is None:
        raise NotFound(f"no listing {listing_id!r}", param="listing_id")
    return row


def order_locked(order_id: str) -> Order:
    """An order that the scope may see, with its service. Raises NotFound."""
    rows = Order.objects.select_for_update(of=("self",)).select_related("service")
    row: Order | None = rows.filter(pk=order_id).first()
    if row is None:
        raise NotFound(f"no order {order_id!r}", param="order_id")
    return row
