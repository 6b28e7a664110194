"""Costs by day and group: the largest by name, the rest together, nothing lost."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.costs.explorer import costs_by_day
from tenants.costs.selectors import cost_totals
from tenants.costs.services import slot_time_record
from tenants.kernel.scope import system_scope
from tests.tenants.costs.factories import NOON, after, resource_make, slot_time

pytestmark = pytest.mark.django_db
SINCE = NOON.replace(hour=0)
DAY = 86_400


def test_the_largest_are_named_and_the_rest_is_one() -> None:
    """Tenant n spends n on each of two days; a day before is not asked for."""
    resource = resource_make((NOON - dt.timedelta(days=30), "1"))
    entries = [
        slot_time(day * DAY, day * DAY + n, resource=resource, tenant_id=f"ten_{n}", slot=n)
        for day in (-1, 0, 1)
        for n in (1, 2, 3, 4)
    ]
    entries.append(slot_time(10, 20, resource=resource, purpose="idle", slot=9))
    with system_scope():
        slot_time_record(entries=entries)
        found = costs_by_day(group="tenant", since=SINCE, largest=3)
        (whole,) = cost_totals(since=SINCE)
    today, tomorrow = NOON.date(), after(DAY).date()
    assert [(row.day, row.group, row.amount) for row in found] == [
        (today, "", Decimal(10)),
        (today, "ten_3", Decimal(3)),
        (today, "ten_4", Decimal(4)),
        (today, None, Decimal(3)),
        (tomorrow, "ten_3", Decimal(3)),
        (tomorrow, "ten_4", Decimal(4)),
        (tomorrow, None, Decimal(3)),
    ]
    assert sum(row.amount for row in found) == whole.cost.amount


def test_few_groups_leave_no_rest() -> None:
    resource = resource_make((NOON - dt.timedelta(days=30), "1"))
    with system_scope():
        slot_time_record(entries=[slot_time(0, 5, resource=resource)])
        (row,) = costs_by_day(group="purpose", since=SINCE)
    assert (row.group, row.amount) == ("job", Decimal(5))
