"""Slot time of workers, laid on the clock that they lived by."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from saas.doctor.findings import Health
from saas.doctor.work import clocks_check
from tenants.costs.balance import SlotBalance
from tenants.costs.services import slot_time_record
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tests.tenants.costs.factories import resource_make, slot_time
from tests.workers.jobs.factories import make_worker
from workers.jobs.clocks import clock_error, clocks_balance
from workers.jobs.models import Worker

pytestmark = pytest.mark.django_db


def balances(*stretches: tuple[int, float, float]) -> list[SlotBalance]:
    """Of a worker with two slots that lived for the last 1,000 seconds."""
    worker, end = make_worker(slots=2), now()
    begin = end - dt.timedelta(seconds=1000)
    resource = resource_make((begin - dt.timedelta(days=1), "0.01"))
    with system_scope():
        Worker.objects.filter(pk=worker.pk).update(started_at=begin, heartbeat_at=end)
        slot_time_record(
            entries=[
                slot_time(0, 0, resource=resource, worker=worker.id, slot=slot, purpose="idle",
                          started_at=begin + dt.timedelta(seconds=start),
                          ended_at=begin + dt.timedelta(seconds=stop))
                for slot, start, stop in stretches
            ]
        )  # fmt: skip
        return list(clocks_balance(since=begin - dt.timedelta(hours=1)))


def test_a_whole_account_has_no_error() -> None:
    found = balances((0, -5, 400), (0, 400, 1002), (1, -5, 1002))
    assert [balance.clock for balance in found] == [1000, 1000]
    assert clock_error(found) == 0
    assert next(iter(clocks_check())).health is Health.GOOD


def test_missing_and_doubled_time_is_told() -> None:
    found = balances((0, 0, 400), (0, 390, 1000))
    assert [(b.missing, b.doubled) for b in found] == [(0, 10), (1000, 0)]
    assert clock_error(found) == Decimal("0.505")
    told = next(iter(clocks_check()))
    assert told.health is Health.WARNING
    assert "slot 1" in told.message


def test_what_was_not_told_yet_is_no_error() -> None:
    """A beat is written a moment before the time up to it."""
    assert clock_error(balances((0, 0, 997), (1, 0, 997))) == 0
