"""What an unpaid invoice calls for: a table of moments, and the rules that hold at all of them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.billing.dunning import Debt, Due, Schedule, Step, Taken, step_due

DUE_AT = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
SCHEDULE = Schedule(remind=(1, 7, 14), suspend=21, close=60)


def day(number: float) -> dt.datetime:
    return DUE_AT + dt.timedelta(days=number)


def debt(state: str = "open", remaining: str = "10.00") -> Debt:
    return Debt(state=state, due_at=DUE_AT, remaining=Decimal(remaining))


def taken(*steps: tuple[str, int]) -> list[Taken]:
    return [Taken(step=step, day=on, at=day(on)) for step, on in steps]


REMINDED = (("remind", 1), ("remind", 7), ("remind", 14))


@pytest.mark.parametrize(
    ("at", "before", "expected"),
    [
        (-5, (), None),
        (0.99, (), None),
        (1, (), Due(Step.REMIND, 1)),
        (1.5, REMINDED[:1], None),
        (7, REMINDED[:1], Due(Step.REMIND, 7)),
        (
            14,
            REMINDED[:1],
            Due(Step.REMIND, 14),
        ),  # the one of day 7 was missed: one letter, not two
        (20.9, REMINDED, None),
        (21, REMINDED, Due(Step.SUSPEND, 21)),
        (50, (), Due(Step.REMIND, 14)),  # nobody is suspended unwarned
        (50, REMINDED[2:], Due(Step.SUSPEND, 21)),
        (59.9, (*REMINDED, ("suspend", 21)), None),
        (60, (*REMINDED, ("suspend", 21)), Due(Step.CLOSE, 60)),
        (60, (*REMINDED, ("suspend", 55)), None),  # suspended late: closing waits as long
        (94, (*REMINDED, ("suspend", 55)), Due(Step.CLOSE, 60)),
        (99, (*REMINDED, ("suspend", 21), ("close", 60)), None),
    ],
)
def test_one_step_at_its_time(
    at: float, before: tuple[tuple[str, int], ...], expected: Due | None
) -> None:
    assert step_due(debt(), now=day(at), taken=taken(*before), schedule=SCHEDULE) == expected


@pytest.mark.parametrize("state", ["draft", "paid", "uncollectible", "void"])
def test_only_what_is_open_is_chased(state: str) -> None:
    assert step_due(debt(state), now=day(90), taken=(), schedule=SCHEDULE) is None


def test_nothing_left_to_pay_is_not_chased() -> None:
    settled = debt(remaining="0.00")
    assert step_due(settled, now=day(90), taken=(), schedule=SCHEDULE) is None


def test_without_reminders_suspension_comes_first() -> None:
    schedule = Schedule(remind=(), suspend=3, close=9)
    assert step_due(debt(), now=day(3), taken=(), schedule=schedule) == Due(Step.SUSPEND, 3)


@given(looks=st.lists(st.floats(0, 400), max_size=40).map(sorted))
def test_whenever_one_looks_each_step_is_taken_once_and_in_order(looks: list[float]) -> None:
    steps: list[Taken] = []
    for at in looks:
        due = step_due(debt(), now=day(at), taken=steps, schedule=SCHEDULE)
        if due is not None:
            assert day(at) >= day(due.day)
            steps.append(Taken(step=due.step, day=due.day, at=day(at)))
    order = [s.step for s in steps]
    assert order == sorted(order, key=[Step.REMIND, Step.SUSPEND, Step.CLOSE].index)
    assert len({(s.step, s.day) for s in steps}) == len(steps)
    assert order.count(Step.SUSPEND) <= 1
    if Step.CLOSE in order:
        suspended = next(s.at for s in steps if s.step == Step.SUSPEND)
        assert steps[-1].at - suspended >= dt.timedelta(days=39)


def test_a_schedule_that_falls_is_refused() -> None:
    with pytest.raises(ValueError, match="rise"):
        Schedule(remind=(1, 30), suspend=21, close=60)
