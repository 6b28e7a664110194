"""Pricing of time is exact wherever it is cut. The reference computes with fractions."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.costs.rates import RateStep, per_units, priced, seconds_between
from tests.tenants.costs.factories import NOON

moments = st.integers(0, 10**12).map(lambda us: NOON + dt.timedelta(microseconds=us))
rates = st.decimals(min_value=0, max_value=1000, places=12)
tables = st.lists(st.tuples(moments, rates), max_size=6, unique_by=lambda pair: pair[0]).map(
    lambda pairs: [
        RateStep(rate_id=number, valid_from=moment, amount=amount)
        for number, (moment, amount) in enumerate(
            [(NOON - dt.timedelta(days=1), Decimal("0.1")), *sorted(pairs)]
        )
    ]
)


def reference(start: dt.datetime, end: dt.datetime, steps: list[RateStep]) -> Fraction:
    """Integrate the rate over time: each step's overlap with the stretch, in exact fractions."""
    total = Fraction(0)
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        begin = max(start, step.valid_from)
        stop = end if following is None else min(end, following.valid_from)
        if stop > begin:
            microseconds = (stop - begin) // dt.timedelta(microseconds=1)
            total += Fraction(microseconds, 10**6) * Fraction(step.amount)
    return total


@given(steps=tables, first=moments, second=moments)
def test_a_stretch_costs_the_integral_of_the_rate(
    steps: list[RateStep], first: dt.datetime, second: dt.datetime
) -> None:
    start, end = sorted([first, second])
    pieces = priced(start, end, steps)
    assert sum(Fraction(piece.amount) for piece in pieces) == reference(start, end, steps)
    assert [p.started_at for p in pieces] == [start, *(p.ended_at for p in pieces[:-1])]
    assert pieces[-1].ended_at == end


@given(steps=tables, marks=st.lists(moments, min_size=2, max_size=8))
def test_the_pieces_of_a_stretch_cost_what_the_whole_does_to_the_last_digit(
    steps: list[RateStep], marks: list[dt.datetime]
) -> None:
    marks = sorted(marks)
    whole = sum(piece.amount for piece in priced(marks[0], marks[-1], steps))
    cut = sum(
        piece.amount
        for start, end in itertools.pairwise(marks)
        for piece in priced(start, end, steps)
    )
    assert cut == whole


def test_a_rate_holds_from_its_very_moment() -> None:
    steps = [
        RateStep(1, NOON - dt.timedelta(days=1), Decimal(1)),
        RateStep(2, NOON, Decimal(3)),
    ]
    around = priced(NOON - dt.timedelta(seconds=10), NOON + dt.timedelta(seconds=10), steps)
    assert [(p.rate_id, p.seconds, p.amount) for p in around] == [(1, 10, 10), (2, 10, 30)]
    (alone,) = priced(NOON, NOON + dt.timedelta(seconds=1), steps)
    assert alone.rate_id == 2
    (before,) = priced(NOON - dt.timedelta(seconds=1), NOON, steps)
    assert before.rate_id == 1


def test_a_rate_that_changes_within_the_stretch_twice_cuts_it_in_three() -> None:
    steps = [RateStep(n, NOON + dt.timedelta(seconds=10 * n), Decimal(n + 1)) for n in range(3)]
    pieces = priced(NOON, NOON + dt.timedelta(seconds=25), steps)
    assert [piece.amount for piece in pieces] == [10, 20, 15]


def test_time_before_the_first_rate_has_no_price() -> None:
    with pytest.raises(ValueError, match="no rate"):
        priced(NOON, NOON + dt.timedelta(1), [RateStep(1, NOON + dt.timedelta(1), Decimal(1))])


@given(first=moments, second=moments)
def test_seconds_are_exact_to_the_microsecond(first: dt.datetime, second: dt.datetime) -> None:
    microseconds = (second - first) // dt.timedelta(microseconds=1)
    assert Fraction(seconds_between(first, second)) == Fraction(microseconds, 10**6)


def test_the_price_of_a_million() -> None:
    assert per_units(Decimal("0.5"), Decimal(250_000), 1_000_000) == 2
    assert per_units(Decimal(1), Decimal(3), 1) == Decimal("0.333333333333")
    assert per_units(Decimal(1), Decimal(0), 1_000_000) is None
