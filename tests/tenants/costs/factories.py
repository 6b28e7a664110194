"""Builders for tests about costs."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.models import Tenant
from tenants.costs.models import Rate, Resource
from tenants.costs.slot_time import SlotTime
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope

NOON = dt.datetime(2026, 3, 10, 12, 0, tzinfo=dt.UTC)


def after(seconds: float) -> dt.datetime:
    """NOON plus `seconds`."""
    return NOON + dt.timedelta(seconds=seconds)


def resource_make(*rates: tuple[dt.datetime, str], kind: str = Rate.Kind.ON_DEMAND) -> str:
    """Return the id of a new resource with (valid from, USD a second) rates."""
    resource_id = new_id("worker.")
    with system_scope():
        Resource.objects.create(id=resource_id, unit="slot-second")
        for valid_from, amount in rates:
            Rate.objects.create(
                resource_id=resource_id, kind=kind, amount=Decimal(amount), valid_from=valid_from
            )
    return resource_id


def slot_time(start: float, end: float, *, resource: str, **changes: Any) -> SlotTime:
    """Job time of seconds [start, end) after NOON on one worker's slot 0."""
    fields: dict[str, Any] = {
        "worker": "wrk_1",
        "slot": 0,
        "resource": resource,
        "purpose": "job",
        "tenant_id": "ten_1",
        "job_id": "ftjob-1",
        "attempt": 1,
        "started_at": after(start),
        "ended_at": after(end),
        "key": new_id("cost-key-"),
    }
    if changes.get("purpose") in {"idle", "startup"}:
        fields |= {"tenant_id": "", "job_id": "", "attempt": None}
    return SlotTime(**fields | changes)


def operator() -> Actor:
    """Staff acting in the platform's own tenant."""
    tenant_id = new_id("ten_")
    with system_scope():
        Tenant.objects.create(id=tenant_id, name="Breakwater", slug=tenant_id[-20:])
    return Actor(kind=ActorKind.OPERATOR, id="user_1", tenant_id=tenant_id)
