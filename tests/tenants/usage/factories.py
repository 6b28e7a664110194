"""Builders for tests about usage."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from tenants.accounts.models import Tenant
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from tenants.usage.ingestion import NewUsage

NOON = dt.datetime(2026, 3, 10, 12, 0, tzinfo=dt.UTC)


def tenant_make(name: str = "Acme") -> str:
    """Return the id of a new tenant."""
    tenant_id = new_id("ten_")
    with system_scope():
        Tenant.objects.create(id=tenant_id, name=name, slug=tenant_id[-20:])
    return tenant_id


def usage(
    key: str,
    quantity: int | str = 1,
    *,
    meter: str = "tokens.input",
    at: dt.datetime = NOON,
    source: str = "gateway",
    **dimensions: str,
) -> NewUsage:
    return NewUsage(
        meter=meter,
        quantity=Decimal(quantity),
        event_time=at,
        source=source,
        key=key,
        dimensions={"model": "breakwater-mini-1", "base": "breakwater-mini-1", **dimensions},
    )
