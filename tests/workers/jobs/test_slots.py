"""Slot clocks: every second of a slot, once."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.costs.models import CostEntry
from tenants.costs.services import resources_ensure
from tenants.costs.slot_time import SlotTime
from tenants.kernel.scope import system_scope
from workers.jobs.slots import IDLE, Purpose, SharedTime, SlotClock, slots_flush

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
JOB = Purpose("job", tenant_id="t", job_id="j", attempt=1)
RETRY = Purpose("retry", tenant_id="t", job_id="j", attempt=2)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def slot_clock(clock: Clock, elapsed_s: float = 3.0) -> SlotClock:
    return SlotClock(
        worker_id="w",
        slot=0,
        resource="worker.cpu",
        now=START,
        monotonic=clock,
        elapsed_s=elapsed_s,
    )


MOVES = st.lists(
    st.tuples(st.floats(0, 1000), st.sampled_from([IDLE, JOB, RETRY, None])), max_size=20
)


@given(MOVES)
def test_stretches_leave_no_gap_and_never_overlap(
    moves: list[tuple[float, Purpose | None]],
) -> None:
    """None stands for a flush."""
    clock = Clock()
    slot = slot_clock(clock)
    entries = []
    for seconds, purpose in moves:
        clock.now += seconds
        if purpose is None:
            entries += slot.take()
        else:
            slot.switch(purpose)
    clock.now += 1
    entries += slot.take()
    assert entries[0].started_at == START - dt.timedelta(seconds=3)
    assert entries[0].purpose == "startup"
    for one, next_one in itertools.pairwise(entries):
        assert one.ended_at == next_one.started_at
    total = sum((e.ended_at - e.started_at).total_seconds() for e in entries)
    assert total == pytest.approx(3 + sum(seconds for seconds, _ in moves) + 1, abs=1e-3)
    assert len({e.key for e in entries}) == len(entries)


@pytest.mark.django_db
def test_a_flush_stores_what_the_clock_says_once() -> None:
    with system_scope():
        resources_ensure()
    clock = Clock()
    slot = slot_clock(clock)
    clock.now += 7
    slot.switch(JOB)
    clock.now += 5
    assert slots_flush([slot]) == 2
    assert slots_flush([slot]) == 0
    with system_scope():
        rows = dict(CostEntry.objects.values_list("purpose", "quantity"))
    assert rows == {"startup": Decimal(10), "job": Decimal(5)}


def test_what_could_not_be_stored_is_kept() -> None:
    clock = Clock()
    slot = slot_clock(clock)
    clock.now += 7
    taken = slot.take()
    slot.put_back(taken)
    clock.now += 1
    assert slot.take()[0] == taken[0]


OTHER = Purpose("job", tenant_id="u", job_id="k", attempt=1)


def test_shared_time_goes_by_work_and_stays_whole() -> None:
    clock, shared = Clock(), SharedTime()
    slot = slot_clock(clock, elapsed_s=0.0)
    slot.switch(shared)
    shared.enter(JOB)
    shared.enter(OTHER)
    # without any work seen, all who are present pay alike
    clock.now += 10
    assert [(e.job_id, seconds(e)) for e in slot.take()] == [("j", 5.0), ("k", 5.0)]
    # then by work, that of who has left meanwhile too
    shared.worked("j", 3)
    shared.worked("k", 1)
    shared.leave("j")
    clock.now += 8
    assert [(e.job_id, seconds(e)) for e in slot.take()] == [("j", 6.0), ("k", 2.0)]
    clock.now += 4
    assert [(e.job_id, seconds(e)) for e in slot.take()] == [("k", 4.0)]
    # and nobody's once all have left
    shared.leave("k")
    clock.now += 1
    slot.switch(IDLE)
    assert [(e.purpose, e.job_id) for e in slot.take()] == [("idle", "")]


def test_work_done_again_is_told_apart_within_a_shared_stretch() -> None:
    clock, shared = Clock(), SharedTime()
    slot = slot_clock(clock, elapsed_s=0.0)
    slot.switch(shared)
    shared.enter(RETRY)
    shared.worked("j", 1)
    shared.enter(JOB)
    shared.worked("j", 4)
    clock.now += 5
    assert [(e.purpose, seconds(e)) for e in slot.take()] == [("retry", 1.0), ("job", 4.0)]


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 50), st.floats(0, 50)), max_size=12))
def test_a_slots_shared_stretches_leave_no_gap(moves: list[tuple[float, float, float]]) -> None:
    clock, shared = Clock(), SharedTime()
    slot = slot_clock(clock)
    slot.switch(shared)
    shared.enter(JOB)
    shared.enter(OTHER)
    entries = []
    for span, mine, others in moves:
        clock.now += span
        shared.worked("j", mine)
        shared.worked("k", others)
        entries += slot.take()
    entries += slot.take()
    for one, following in itertools.pairwise(entries):
        assert one.ended_at == following.started_at
    assert len({e.key for e in entries}) == len(entries)


def seconds(entry: SlotTime) -> float:
    return (entry.ended_at - entry.started_at).total_seconds()


def test_time_is_booked_as_it_was_bought() -> None:
    clock = SlotClock(
        worker_id="w", slot=0, resource="worker.cpu", now=START, elapsed_s=3.0, rate_kind="spot"
    )
    clock.switch(JOB)
    assert {entry.rate_kind for entry in clock.take()} == {"spot"}
