"""The arithmetic of replicas: tables and properties."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.serving.scaling import (
    SEQUENCES_PER_REPLICA,
    Demand,
    Plan,
    may_start,
    plan,
    replicas_wanted,
)

NOON = dt.datetime(2026, 3, 10, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("limit", "active", "running", "wanted"),
    [
        (0, 0, 0, 0),  # asleep
        (0, 50, 3, 0),
        (1, 0, 0, 1),  # awake
        (1, 100, 1, 1),  # never over the limit
        (4, 8, 1, 1),
        (4, 9, 1, 2),  # one sequence too many for one
        (4, 100, 2, 4),
        (4, 8, 2, 2),  # one would be full: no flapping
        (4, 4, 2, 1),
        (4, 0, 4, 3),  # one at a time
        (1, 8, 3, 1),  # the limit was lowered
    ],
)
def test_replicas_wanted(limit: int, active: int, running: int, wanted: int) -> None:
    assert replicas_wanted(Demand(limit, active), running=running) == wanted


counts = st.integers(0, 50)


@given(limit=st.integers(1, 16), active=st.integers(0, 500), running=st.integers(0, 16))
def test_never_none_while_awake_and_never_over_the_limit(
    limit: int, active: int, running: int
) -> None:
    wanted = replicas_wanted(Demand(limit, active), running=running)
    assert 1 <= wanted <= limit
    assert wanted * SEQUENCES_PER_REPLICA >= min(active, limit * SEQUENCES_PER_REPLICA)


@given(limit=st.integers(0, 16), active=st.integers(0, 500), running=st.integers(0, 16))
def test_under_steady_load_the_number_comes_to_rest(limit: int, active: int, running: int) -> None:
    for _ in range(20):
        running = replicas_wanted(Demand(limit, active), running=running)
    assert replicas_wanted(Demand(limit, active), running=running) == running


def test_the_newest_leave_first() -> None:
    assert plan(Demand(1), jobs=["a", "b", "c"]) == Plan(stop=("b", "c"))
    assert plan(Demand(0), jobs=["a"]) == Plan(stop=("a",))
    assert plan(Demand(2, active=16), jobs=["a"]) == Plan(start=1)
    assert plan(Demand(1), jobs=["a"]) == Plan()


def test_a_failing_target_is_tried_ever_more_rarely() -> None:
    assert may_start([], now=NOON)
    for failures, wait in ((1, 5), (2, 10), (3, 20), (12, 300)):
        times = [NOON] * failures
        assert not may_start(times, now=NOON + dt.timedelta(seconds=wait - 1))
        assert may_start(times, now=NOON + dt.timedelta(seconds=wait))
