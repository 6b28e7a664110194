"""Reads of the marketplace, in the scope in force."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from tenants.kernel.errors import NotFound
from tenants.marketplace.models import Listing, Order, PartnerStatement, Payout, Service


def listings_visible() -> QuerySet[Listing]:
    """A partner's listings (everyone's for the system), the latest first."""
    rows: QuerySet[Listing] = Listing.objects.all()
    return rows.order_by("-created_at", "-id")


def listing_get(listing_id: str) -> Listing:
    """Raises NotFound."""
    row = listings_visible().filter(pk=listing_id).first()
    if row is None:
        raise NotFound(f"no listing {listing_id!r}", param="listing_id")
    return row


def services_offered() -> QuerySet[Service]:
    """The catalogue, by title."""
    return Service.objects.filter(withdrawn_at__isnull=True).order_by("title", "id")


def service_get(service_id: str) -> Service:
    """Raises NotFound."""
    row = services_offered().filter(pk=service_id).first()
    if row is None:
        raise NotFound(f"no service {service_id!r}", param="service")
    return row


def orders_of(tenant_id: str, *, selling: bool = False) -> QuerySet[Order]:
    """What a tenant ordered, or sells, the latest first."""
    whose = Q(seller_id=tenant_id) if selling else Q(customer_id=tenant_id)
    return Order.objects.filter(whose).select_related("service").order_by("-created_at", "-id")


def order_get(order_id: str, tenant_id: str, *, selling: bool = False) -> Order:
    """Raises NotFound."""
    row = orders_of(tenant_id, selling=selling).filter(pk=order_id).first()
    if row is None:
        raise NotFound(f"no order {order_id!r}", param="order_id")
    return row


def partner_statements_visible() -> QuerySet[PartnerStatement]:
    rows: QuerySet[PartnerStatement] = PartnerStatement.objects.all()
    return rows.order_by("-period", "currency")


def payouts_visible() -> QuerySet[Payout]:
    rows: QuerySet[Payout] = Payout.objects.all()
    return rows.order_by("-created_at", "-id")
