"""Usage that comes when its month is stated, for somebody who uses nothing any more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import psycopg
import pytest

from tenants.accounts.models import Tenant
from tenants.billing.models import Invoice
from tenants.billing.services.statements import statements_advance
from tenants.kernel.scope import system_scope
from tests.tenants.billing.factories import (
    APRIL,
    MARCH,
    MAY,
    counted,
    customer,
    on,
    stated,
    used,
)

pytestmark = pytest.mark.django_db
Came = Callable[[str, dt.datetime], None]


def without_contract() -> str:
    """A customer of the list's prices, since January."""
    tenant_id = customer()
    with system_scope():
        since = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        Tenant.objects.filter(pk=tenant_id).update(created_at=since)
    return tenant_id


@pytest.fixture
def came(_cleaner: psycopg.Connection) -> Came:
    """Let an event have come, and all that was charged have been charged, at a past time."""

    def then(key: str, at: dt.datetime) -> None:
        _cleaner.execute("ALTER TABLE usage_event DISABLE TRIGGER append_only")
        moved = _cleaner.execute(
            "UPDATE usage_event SET ingested_at = %s WHERE key = %s", [at, key]
        )
        assert moved.rowcount == 1
        _cleaner.execute("ALTER TABLE usage_event ENABLE TRIGGER append_only")
        _cleaner.execute("UPDATE charge SET created_at = occurred_at")

    return then


def months(tenant_id: str) -> list[tuple[dt.date, Decimal]]:
    with system_scope():
        rows = Invoice.objects.filter(tenant_id=tenant_id).order_by("period")
        return list(rows.values_list("period", "net"))


def test_a_late_event_is_billed_though_nothing_else_is_used(came: Came) -> None:
    tenant_id = without_contract()
    used(tenant_id, "a", 1_000_000, on(MARCH, 3))
    came("a", on(MARCH, 3))
    stated(tenant_id, MARCH)
    counted(tenant_id, "late", 2_000_000, on(MARCH, 31))
    came("late", on(APRIL, 20))
    # when the month in which it came is over, and its grace
    statements_advance(now=on(APRIL, 21), tenant_id=tenant_id)
    statements_advance(now=on(MAY, 10), tenant_id=tenant_id)
    # then it is a line of that month's invoice, once, and no later month says it again
    assert months(tenant_id) == [(MARCH.month, Decimal("0.60")), (APRIL.month, Decimal("1.20"))]
    statements_advance(now=on(MAY.next(), 10), tenant_id=tenant_id)
    assert len(months(tenant_id)) == 2


def test_it_is_billed_too_where_its_month_was_never_stated_at_all(came: Came) -> None:
    tenant_id = without_contract()
    counted(tenant_id, "late", 2_000_000, on(MARCH.previous(), 27))
    came("late", on(APRIL, 20))
    statements_advance(now=on(APRIL, 21), tenant_id=tenant_id)
    statements_advance(now=on(MAY, 10), tenant_id=tenant_id)
    assert months(tenant_id) == [(APRIL.month, Decimal("1.20"))]
