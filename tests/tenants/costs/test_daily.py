"""Sums by day say what the entries say, at every commit and for every range."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from decimal import Decimal

import pytest
from django.db import DatabaseError, connections, transaction

from tenants.costs.models import CostDay, CostEntry, CostWorkerDay
from tenants.costs.selectors import Grouping, cost_totals
from tenants.costs.services import slot_time_record
from tenants.kernel.scope import system_scope
from tests.tenants.costs.factories import NOON, resource_make, slot_time

pytestmark = pytest.mark.django_db
DAY = 86400
MIDNIGHT = NOON.replace(hour=0)


def entries_make(number: int = 60) -> None:
    """Over ten days, of three tenants, in several writes, the last of them twice."""
    generator = random.Random(5)
    resource = resource_make((NOON - dt.timedelta(days=30), "0.000694444444"))
    batches = []
    for index in range(number):
        start = generator.uniform(-5 * DAY, 5 * DAY)
        purpose = generator.choice(["job", "retry", "idle"])
        labels = {"kind": "serve", "base": generator.choice(["mini", "big"])}
        whose = {"tenant_id": f"ten_{generator.randrange(3)}", "labels": labels}
        batches.append(
            slot_time(
                start, start + generator.uniform(0.001, 9000), resource=resource, purpose=purpose,
                worker=f"wrk_{index % 4}", **({} if purpose == "idle" else whose),
            )
        )  # fmt: skip
    with system_scope():
        for batch in (batches[n : n + 7] for n in range(0, number, 7)):
            slot_time_record(entries=batch)
            slot_time_record(entries=batch)


def by_hand(
    group_by: tuple[str, ...], since: dt.datetime | None, until: dt.datetime | None
) -> dict[tuple[str, ...], tuple[Decimal, Decimal, int]]:
    """Add the entries up one by one."""
    sums: dict[tuple[str, ...], tuple[Decimal, Decimal, int]] = {}
    for entry in CostEntry.objects.all():
        if (since and entry.started_at < since) or (until and entry.started_at >= until):
            continue
        values = {
            "day": str(entry.started_at.date()), "purpose": entry.purpose,
            "tenant": entry.tenant_id, "base": entry.labels.get("base", ""),
            "kind": entry.labels.get("kind", ""),
        }  # fmt: skip
        key = tuple(values[name] for name in group_by)
        money, seconds, count = sums.get(key, (Decimal(0), Decimal(0), 0))
        sums[key] = (money + entry.amount, seconds + entry.quantity, count + 1)
    return sums


GROUPS: tuple[tuple[Grouping, ...], ...] = ((), ("day",), ("purpose", "tenant"), ("kind", "base"))
RANGES = (
    (None, None),
    (MIDNIGHT - dt.timedelta(days=2), MIDNIGHT + dt.timedelta(days=2)),
    (NOON - dt.timedelta(days=2, seconds=7), NOON + dt.timedelta(days=1)),
    (NOON, NOON + dt.timedelta(hours=3)),
    (None, NOON),
    (NOON, None),
)


def test_totals_are_the_entries_in_every_range_and_grouping() -> None:
    entries_make()
    with system_scope():
        for group_by, (since, until) in itertools.product(GROUPS, RANGES):
            found = {
                tuple(str(v.date()) if isinstance(v, dt.datetime) else v for v in total.group): (
                    total.cost.amount,
                    total.seconds,
                    total.entries,
                )
                for total in cost_totals(group_by=group_by, since=since, until=until)
            }
            assert found == by_hand(group_by, since, until), (group_by, since, until)


def test_both_sums_hold_every_entry_once() -> None:
    entries_make(30)
    with system_scope():
        whole = sum(entry.amount for entry in CostEntry.objects.all())
        for sums in (CostDay, CostWorkerDay):
            assert sum(row.amount for row in sums._default_manager.all()) == whole
            assert sum(row.entries for row in sums._default_manager.all()) == 30


def test_nobody_but_the_trigger_writes_sums() -> None:
    entries_make(3)
    for table in ("cost_day", "cost_worker_day"):
        with pytest.raises(DatabaseError, match="permission denied"):
            with transaction.atomic("system"), connections["system"].cursor() as cursor:
                cursor.execute(f"UPDATE {table} SET amount = 0")
