"""`usage_hour` says at every commit what the events say."""

from __future__ import annotations

import datetime as dt
import threading
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenants.kernel.errors import Conflict
from tenants.kernel.scope import ScopeError, system_scope, tenant_scope
from tenants.usage.ingestion import NewUsage
from tenants.usage.models import UsageHour
from tenants.usage.periods import projection_differences, usage_period_totals
from tenants.usage.selectors import usage_total, usage_totals
from tenants.usage.services import usage_record
from tests.tenants.usage.factories import NOON, tenant_make, usage

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)
many_examples = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# two months, several hours, more or less often the same
moments = st.builds(
    lambda hours, minutes: NOON.replace(day=28) + dt.timedelta(hours=hours, minutes=minutes),
    st.integers(0, 120),
    st.integers(0, 59),
)
events = st.builds(
    lambda number, at, model, key, metered: usage(
        f"k{number}",
        number * 7 % 11,
        meter=metered,
        at=at,
        model=model,
        api_key_id=key,
        request_id=f"req_{number}",
    ),
    st.integers(0, 30),
    moments,
    st.sampled_from("ab"),
    st.sampled_from(["key_1", "key_2"]),
    st.sampled_from(["tokens.input", "tokens.output"]),
)
histories = st.lists(st.lists(events, max_size=8), max_size=6)


def record(tenant_id: str, batch: list[NewUsage]) -> int:
    with tenant_scope(tenant_id):
        return usage_record(tenant_id=tenant_id, events=batch)


def kept_of(tenant_id: str, history: list[list[NewUsage]]) -> dict[str, NewUsage]:
    """Record a history; return by key what a dictionary would have kept of it."""
    kept: dict[str, NewUsage] = {}
    for batch in history:
        fresh: dict[str, NewUsage] = {}
        for event in batch:
            fresh.setdefault(event.key, event)
        known = {**fresh, **kept}
        try:
            record(tenant_id, batch)
        except Conflict:
            assert any(known[e.key].payload_hash != e.payload_hash for e in batch)
        else:
            kept = known
    return kept


def differences() -> list[Any]:
    with system_scope():
        return projection_differences()


@given(history=histories)
@many_examples
def test_after_any_history_the_hours_are_the_events(history: list[list[NewUsage]]) -> None:
    tenant_id = tenant_make()
    kept = kept_of(tenant_id, history)
    expected: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for event in kept.values():
        hour = event.event_time.replace(minute=0)
        dimensions = {n: v for n, v in event.dimensions.items() if n != "request_id"}
        expected[(hour, event.meter, *sorted(dimensions.items()))] += event.quantity
    with tenant_scope(tenant_id):
        found = {
            (row.hour, row.meter, *sorted(row.dimensions.items())): row.quantity
            for row in UsageHour.objects.all()
        }
        assert sum(row.events for row in UsageHour.objects.all()) == len(kept)
    assert found == expected
    assert differences() == []


@given(history=histories, since=moments, length=st.integers(1, 5000))
@many_examples
def test_totals_of_any_range_are_those_of_its_events(
    history: list[list[NewUsage]], since: dt.datetime, length: int
) -> None:
    """Whole hours come from the sums, the ends from the events."""
    tenant_id = tenant_make()
    kept = kept_of(tenant_id, history).values()
    until = since + dt.timedelta(minutes=length)
    expected: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for event in kept:
        if since <= event.event_time < until:
            expected[event.meter, event.dimensions["model"]] += event.quantity
    with tenant_scope(tenant_id):
        totals = usage_totals(since=since, until=until, group_by=["model"])
        by_request = usage_totals(since=since, until=until, group_by=["request_id"])
    assert {(t.meter, t.dimensions["model"]): t.quantity for t in totals} == expected
    assert sum(t.quantity for t in by_request) == sum(expected.values())
    assert len(by_request) == sum(since <= event.event_time < until for event in kept)


def test_many_writers_of_the_same_hours_and_events_neither_block_nor_miscount() -> None:
    tenant_id = tenant_make()
    everything = [usage(f"k{n}", n, at=NOON + (n % 5) * HOUR, model="ab"[n % 2]) for n in range(60)]
    failures: list[Exception] = []

    def write(number: int) -> None:
        mine = everything[number * 10 :] + everything[: number * 10]
        if number % 2:
            mine = mine[::-1]
        try:
            for start in range(0, len(mine), 7):
                record(tenant_id, mine[start : start + 7])
        except Exception as error:  # noqa: BLE001 -- shown below
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    with tenant_scope(tenant_id):
        assert usage_total("tokens.input") == sum(range(60))
        assert UsageHour.objects.count() == 10
    assert differences() == []


def test_a_rolled_back_batch_leaves_no_sum() -> None:
    tenant_id = tenant_make()
    with tenant_scope(tenant_id):
        usage_record(tenant_id=tenant_id, events=[usage("k")])
        transaction.set_rollback(True)
    with tenant_scope(tenant_id):
        assert not UsageHour.objects.exists()


@pytest.mark.parametrize("alias", ["default", "system"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE usage_hour SET quantity = 0",
        "DELETE FROM usage_hour",
        "INSERT INTO usage_hour SELECT * FROM usage_hour",
    ],
)
def test_only_the_trigger_writes_sums(alias: str, statement: str) -> None:
    with pytest.raises(DatabaseError, match="permission denied"):
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE usage_hour SET quantity = quantity + 0.000000000001",
        "UPDATE usage_hour SET events = events + 1",
        "DELETE FROM usage_hour",
    ],
)
def test_a_wrong_sum_is_found(statement: str) -> None:
    tenant_id = tenant_make()
    record(tenant_id, [usage("k", 5, at=dt.datetime.now(dt.UTC))])
    assert differences() == []
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute(statement)
    (found,) = differences()
    assert (found.tenant_id, found.meter, found.counted) == (tenant_id, "tokens.input", 5)


def test_an_event_of_no_tenant_is_refused() -> None:
    """Events have no foreign key of their own; that of their hour stands for it."""
    with pytest.raises(DatabaseError, match="foreign key"), system_scope():
        usage_record(tenant_id="ten_nobody", events=[usage("k")])


def test_a_period_is_summed_by_what_prices_ask_for() -> None:
    first, second = tenant_make(), tenant_make()
    start, end = NOON.replace(day=1, hour=0), NOON.replace(month=4, day=1, hour=0)
    record(first, [usage(f"k{n}", n, at=start + n * HOUR, api_key_id=f"key_{n}") for n in range(9)])
    record(first, [usage("late", 100, at=end - dt.timedelta(microseconds=1))])
    record(first, [usage("next", 1000, at=end), usage("before", 1000, at=start - HOUR)])
    record(second, [usage("k", 3, at=start, model="other", batch="true")])

    with system_scope():
        everyone = usage_period_totals(period_start=start, period_end=end)
        only = usage_period_totals(period_start=start, period_end=end, tenant_id=second)
        by_key = usage_period_totals(
            period_start=start, period_end=end, tenant_id=first, group_by=["api_key_id"]
        )
    assert [(t.tenant_id, t.quantity, t.events) for t in everyone] == sorted(
        [(first, Decimal(136), 10), (second, Decimal(3), 1)]
    )
    assert [dict(total.dimensions) for total in only] == [
        {"model": "other", "base": "breakwater-mini-1", "batch": "true"}
    ]
    assert len(by_key) == 10
    with tenant_scope(second):
        assert usage_period_totals(period_start=start, period_end=end) == only
        with pytest.raises(ScopeError):
            usage_period_totals(period_start=start, period_end=end, tenant_id=first)
        with pytest.raises(ValueError, match="hour"):
            usage_period_totals(period_start=start, period_end=end - HOUR / 2)
