"""Reads of the marketplace, in the scope in force."""

from __future__ import annotations

from decimal import Decimal

from django.db.models import Q, QuerySet, Sum

from tenants.kernel.errors import NotFound
from tenants.ledger.chart import PARTNERS, AccountKind
from tenants.ledger.models import LedgerPosting
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


def partner_balances(tenant_id: str) -> dict[str, dict[AccountKind, Decimal]]:
    """What stands on a partner's accounts by currency, as owed to it; below zero: it owes."""
    rows = LedgerPosting.objects.filter(tenant_id=tenant_id, account__kind__in=list(PARTNERS))
    sums = rows.values_list("currency", "account__kind").annotate(total=Sum("amount"))
    found: dict[str, dict[AccountKind, Decimal]] = {}
    for currency, kind, total in sums.order_by("currency", "account__kind"):
        found.setdefault(currency, {})[AccountKind(kind)] = -total
    return found
