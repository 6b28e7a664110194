"""Conservation of slot time. The reference paints every second of the clock."""

from __future__ import annotations

import itertools
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tenants.costs.balance import Stretch, slot_balance
from tests.tenants.costs.factories import after

LENGTH = 60
purposes = st.sampled_from(["job", "idle", "startup", "retry"])
stretches = st.lists(
    st.tuples(st.integers(-10, LENGTH + 10), st.integers(0, 30), purposes), max_size=8
)


@given(parts=stretches)
def test_the_balance_is_that_of_seconds_painted_one_by_one(
    parts: list[tuple[int, int, str]],
) -> None:
    painted = [0] * LENGTH
    by_purpose: dict[str, int] = {}
    for start, length, purpose in parts:
        for second in range(max(start, 0), min(start + length, LENGTH)):
            painted[second] += 1
            by_purpose[purpose] = by_purpose.get(purpose, 0) + 1
    balance = slot_balance(
        "wrk_1",
        0,
        [Stretch(after(start), after(start + length), what) for start, length, what in parts],
        after(0),
        after(LENGTH),
    )
    assert balance.clock == LENGTH
    assert balance.by_purpose == by_purpose
    assert balance.missing == painted.count(0)
    assert balance.doubled == sum(count - 1 for count in painted if count > 1)
    assert balance.accounted == balance.clock - balance.missing + balance.doubled


@given(marks=st.lists(st.integers(1, LENGTH * 10**6 - 1), unique=True, max_size=10))
def test_stretches_that_join_seamlessly_balance_exactly(marks: list[int]) -> None:
    cuts = [0, *sorted(marks), LENGTH * 10**6]
    parts = [
        Stretch(after(start / 10**6), after(end / 10**6), "job")
        for start, end in itertools.pairwise(cuts)
    ]
    balance = slot_balance("wrk_1", 0, parts, after(0), after(LENGTH))
    assert (balance.missing, balance.doubled, balance.error) == (0, 0, 0)
    assert balance.by_purpose == {"job": Decimal(LENGTH)}


def test_the_error_is_a_share_of_the_clock() -> None:
    parts = [Stretch(after(0), after(30), "job"), Stretch(after(20), after(45), "idle")]
    balance = slot_balance("wrk_1", 0, parts, after(0), after(50))
    assert (balance.missing, balance.doubled) == (5, 10)
    assert balance.error == Decimal("0.3")


def test_a_slot_without_any_entry_is_missing_altogether() -> None:
    balance = slot_balance("wrk_1", 3, [], after(0), after(50))
    assert (balance.missing, balance.accounted) == (50, 0)
