"""Unit costs from entries and usage: by class, tenant, day and meter, with bounds."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.costs.models import Rate
from tenants.costs.services import slot_time_record
from tenants.costs.standard import Assumptions
from tenants.costs.unit_economics import avoidable_now, unit_economics
from tenants.kernel.scope import system_scope
from tests.tenants.costs.factories import NOON, resource_make, slot_time
from tests.tenants.pricing.books import count, tenant_make

pytestmark = pytest.mark.django_db

DAY = 86400
SINCE = NOON.replace(hour=0)
UNTIL = SINCE + dt.timedelta(days=10)


@pytest.fixture
def tenants() -> tuple[str, str]:
    """Ten days of serving: the first tenant's tokens cost 1 USD a million, the other's 3."""
    resource = resource_make((NOON - dt.timedelta(days=30), "0.01"))
    first, other = tenant_make("First"), tenant_make("Other")
    entries = []
    for day in range(10):
        for tenant, seconds, worker in ((first, 100, "w1"), (other, 300, "w2")):
            start = day * DAY
            labels = {"kind": "serve", "base": "mini"}
            entries.append(
                slot_time(start, start + seconds, resource=resource, tenant_id=tenant,
                          worker=worker, labels=labels)
            )  # fmt: skip
            at = NOON + dt.timedelta(days=day)
            count(
                tenant, "tokens.input", 900_000, at=at, source="gateway", model="mini", base="mini"
            )
            count(
                tenant, "tokens.output", 100_000, at=at, source="gateway", model="mini", base="mini"
            )
    entries.append(
        slot_time(50, 60, resource=resource, purpose="retry", attempt=2, slot=1,
                  labels={"kind": "serve", "base": "mini"})
    )  # fmt: skip
    entries.append(slot_time(60, 10_000, resource=resource, purpose="idle", slot=1))
    with system_scope():
        slot_time_record(entries=entries)
    return first, other


def test_a_class_has_its_three_costs_and_bounds(tenants: tuple[str, str]) -> None:
    with system_scope():
        (found,) = unit_economics(since=SINCE, until=UNTIL)
    assert (found.kind, found.base, found.tokens) == ("serve", "mini", 20_000_000)
    assert found.direct == Decimal("40.1")
    assert found.short_run == Decimal("2.005")
    assert found.long_run == Decimal("2.005") / Decimal("0.7")
    assert found.share is not None
    assert found.share.low <= 1 <= found.share.high
    assert found.long_run_high >= found.long_run
    assert found.scenarios["retries the company's"] == Decimal(2) / Decimal("0.7")
    assert found.scenarios["utilisation 80%"] < found.long_run < found.scenarios["utilisation 60%"]


def test_costs_split_by_tenant_day_and_meter(tenants: tuple[str, str]) -> None:
    with system_scope():
        by_tenant = unit_economics(since=SINCE, until=UNTIL, split="tenant")
        by_day = unit_economics(since=SINCE, until=UNTIL, split="day")
        by_meter = unit_economics(since=SINCE, until=UNTIL, split="meter")
        whole = unit_economics(since=SINCE, until=UNTIL)
    assert {row.split: row.short_run for row in by_tenant} == {tenants[0]: 1, tenants[1]: 3}
    assert [row.split for row in by_day][:2] == ["2026-03-10", "2026-03-11"]
    assert [row.short_run for row in by_day][:2] == [Decimal("2.05"), Decimal(2)]
    assert sum(row.direct for row in by_day) == whole[0].direct
    assert {row.split: row.tokens for row in by_meter} == {
        "tokens.input": 18_000_000,
        "tokens.output": 2_000_000,
    }
    assert {row.short_run for row in by_meter} == {whole[0].short_run}


def test_owned_and_reserved_time_saves_nothing() -> None:
    owned = resource_make((NOON, "1"), kind=Rate.Kind.OWNED)
    bought = resource_make((NOON, "1"))
    with system_scope():
        found = avoidable_now()
    assert found.get(owned) == 0
    assert bought not in found


def test_days_without_work_have_no_unit_cost(tenants: tuple[str, str]) -> None:
    with system_scope():
        later = unit_economics(since=UNTIL, until=UNTIL + dt.timedelta(days=3))
        assumed = unit_economics(
            since=SINCE, until=UNTIL, given=Assumptions(planned_utilisation=Decimal(1))
        )
    assert later == []
    assert assumed[0].long_run == assumed[0].short_run
