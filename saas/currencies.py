"""Which currency a tenant is billed in."""

from __future__ import annotations

from django.db.models import Q
from tenants.pricing.cards import CURRENCY
from tenants.pricing.models import Contract

from tenants.kernel.clock import now


def currency_of(tenant_id: str) -> str:
    """That of the contract in force, else the list's."""
    moment = now()
    alive = Q(ends__isnull=True) | Q(ends__gt=moment)
    rows = Contract.objects.filter(alive, tenant_id=tenant_id, starts__lte=moment)
    return rows.order_by("-starts").values_list("currency", flat=True).first() or CURRENCY
