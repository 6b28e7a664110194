"""Months of usage: made ahead, late ones moved out of the DEFAULT partition, old ones dropped."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connections, transaction

from saas.doctor.isolation import protections
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.usage.models import UsageEvent, UsageHour, UsageKey
from tenants.usage.partitions import partitions_ensure
from tenants.usage.periods import projection_differences
from tenants.usage.selectors import usage_events, usage_total
from tenants.usage.services import usage_record
from tests.tenants.usage.factories import NOON, tenant_make, usage
from workers.tasks.tasks import partitions as partitions_task

pytestmark = pytest.mark.django_db

DEFAULT = "usage_event_default"
LAST_YEAR = now().replace(day=5, hour=1) - dt.timedelta(days=330)


def name_of(moment: dt.datetime) -> str:
    return f"usage_event_{moment:%Y_%m}"


def partitions() -> set[str]:
    with connections["system"].cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = 'usage_event'::regclass"
        )
        return {row[0] for row in cursor.fetchall()}


def lies_in(tenant_id: str) -> dict[str, str]:
    """key → the partition that holds its event."""
    with connections["system"].cursor() as cursor:
        cursor.execute(
            "SELECT key, tableoid::regclass::text FROM usage_event WHERE tenant_id = %s",
            [tenant_id],
        )
        return dict(cursor.fetchall())


def execute(alias: str, statement: str, tenant_id: str = "") -> None:
    """In a transaction of its own, as this tenant: policies bind the owner too."""
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SELECT set_config('app.tenant', %s, true)", [tenant_id])
        cursor.execute(statement)


def drop(name: str) -> None:
    """All that keeping events for a time only comes down to."""
    execute("owner", f"DROP TABLE IF EXISTS {name}")


@pytest.fixture(autouse=True)
def _as_it_was(db: None) -> Iterator[None]:
    """Months that a test makes are gone for the next."""
    before = partitions()
    yield
    for name in partitions() - before:
        drop(name)


def record(tenant_id: str, *moments: dt.datetime) -> None:
    with tenant_scope(tenant_id):
        usage_record(tenant_id=tenant_id, events=[usage(f"{at:%F %T}", at=at) for at in moments])


def test_this_month_and_the_next_three_are_there() -> None:
    month = now().replace(day=1)
    expected = set()
    for _ in range(4):
        expected.add(name_of(month))
        month = (month + dt.timedelta(days=32)).replace(day=1)
    partitions_task()
    assert expected <= partitions()
    assert partitions_ensure() == []


def test_events_land_in_their_month() -> None:
    partitions_ensure()
    tenant_id, this = tenant_make(), now()
    record(tenant_id, this)
    assert set(lies_in(tenant_id).values()) == {name_of(this)}


def test_months_meet_at_midnight_utc() -> None:
    partitions_ensure()
    tenant_id = tenant_make()
    first = now().astimezone(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = first - dt.timedelta(microseconds=1)
    record(tenant_id, first, before)
    places = sorted(lies_in(tenant_id).values())
    assert name_of(first) in places
    assert len(set(places)) == 2


def test_a_late_event_waits_in_the_default_until_its_month_is_made() -> None:
    partitions_ensure()
    tenant_id = tenant_make()
    record(tenant_id, LAST_YEAR, LAST_YEAR + dt.timedelta(hours=3), now())
    assert list(lies_in(tenant_id).values()).count(DEFAULT) == 2

    assert partitions_ensure() == [name_of(LAST_YEAR)]

    assert list(lies_in(tenant_id).values()).count(name_of(LAST_YEAR)) == 2
    assert DEFAULT not in lies_in(tenant_id).values()
    with tenant_scope(tenant_id):
        assert usage_total("tokens.input", since=LAST_YEAR - dt.timedelta(days=1)) == 3
    with system_scope():
        assert projection_differences() == []  # moving is not counting


def test_what_is_very_old_stays_in_the_default() -> None:
    tenant_id = tenant_make()
    record(tenant_id, dt.datetime(1999, 5, 1, tzinfo=dt.UTC))
    assert "usage_event_1999_05" not in partitions_ensure()
    assert set(lies_in(tenant_id).values()) == {DEFAULT}


def test_a_month_that_was_moved_is_as_guarded_as_the_others() -> None:
    tenant_id = tenant_make()
    record(tenant_id, LAST_YEAR)
    partitions_ensure()
    found = protections()
    for name in partitions():
        assert found[name].holds, name
        assert found[name].leading, name
    name = name_of(LAST_YEAR)
    for alias in ("default", "system"):
        for statement in (f"SELECT * FROM {name}", f"DELETE FROM {name}"):
            with pytest.raises(DatabaseError, match="permission denied"):
                execute(alias, statement)
    for table in (name, "usage_event"):
        with pytest.raises(DatabaseError, match="append-only"):
            execute("owner", f"DELETE FROM {table}", tenant_id)


def test_the_default_stays_append_only_after_moving() -> None:
    tenant_id = tenant_make()
    record(tenant_id, LAST_YEAR)
    partitions_ensure()
    record(tenant_id, NOON.replace(year=1999))
    with pytest.raises(DatabaseError, match="append-only"):
        execute("owner", f"DELETE FROM {DEFAULT}", tenant_id)


def test_a_tenant_may_not_make_partitions() -> None:
    with pytest.raises(DatabaseError, match="permission denied"):
        execute("default", "SELECT usage_partitions_ensure(1)")


def test_dropping_a_month_leaves_keys_and_sums() -> None:
    tenant_id = tenant_make()
    record(tenant_id, LAST_YEAR)
    partitions_ensure()

    drop(name_of(LAST_YEAR))

    with tenant_scope(tenant_id):
        assert not UsageEvent.objects.exists()
        assert UsageKey.objects.count() == UsageHour.objects.count() == 1
        again = [usage(f"{LAST_YEAR:%F %T}", at=LAST_YEAR)]
        assert usage_record(tenant_id=tenant_id, events=again) == 0
    with system_scope():
        assert projection_differences() == []


FILL = """
INSERT INTO usage_event (tenant_id, id, meter, quantity, event_time, source, key, dimensions)
SELECT %(tenant)s, format('use_%%s_%%s', to_char(month, 'YYMM'), lpad(n::text, 5, '0')),
    CASE WHEN n %% 50 = 0 THEN 'tokens.input' ELSE 'tokens.output' END, 1, month, 'test',
    format('%%s-%%s', month, n),
    jsonb_build_object('model', 'm' || n %% 40, 'api_key_id', 'key_' || n %% 40)
FROM generate_series(1, 2000) AS n, unnest(%(months)s::timestamptz[]) AS month
"""


@pytest.fixture
def many_events(_cleaner: psycopg.Connection) -> str:
    """A tenant with 2,000 events in each month, as the planner's statistics know."""
    tenant_id = tenant_make()
    months = [
        dt.datetime.strptime(name[-7:], "%Y_%m").replace(day=2, tzinfo=dt.UTC)
        for name in partitions() - {DEFAULT}
    ]
    _cleaner.execute(FILL, {"tenant": tenant_id, "months": [*months, LAST_YEAR]})
    _cleaner.execute("ANALYZE usage_event")
    return tenant_id


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ({}, "id)::text < "),
        ({"meter": "tokens.input"}, "meter)::text = 'tokens.input'"),
        ({"where": {"model": ["m1"]}}, "model)::text = 'm1'"),
        ({"where": {"api_key_id": ["key_1"]}}, "api_key_id)::text = 'key_1'"),
    ],
)
def test_a_page_of_events_is_read_in_order_from_an_index(
    query: Any, condition: str, many_events: str
) -> None:
    """No month is sorted, and no row is read that the filter would drop."""
    with tenant_scope(many_events):
        plan = usage_events(**query).filter(id__lt="use_z").order_by("-id")[:21].explain()
    lines = [line.strip() for line in plan.splitlines()]
    conditions = [line for line in lines if line.startswith("Index Cond")]
    assert len(conditions) >= 5, plan
    assert all(condition in line and "id)::text < 'use_z'" in line for line in conditions), plan
    assert not any(line.startswith(("->  Sort", "Filter")) for line in lines), plan
