"""Unit costs three ways, in worked cases, and the death spiral that does not happen."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.costs.standard import (
    Assumptions,
    MonthOfTerm,
    Work,
    incremental,
    long_run,
    short_run,
)
from tenants.kernel.errors import InvalidInput

WORK = [Work("worker.gpu", amount=Decimal(70), seconds=Decimal(1000), retry=Decimal(7))]


def test_a_unit_bears_the_idle_time_of_the_plan() -> None:
    given = Assumptions(per_unit=Decimal("0.5"), overhead_rate=Decimal(2))
    assert short_run(WORK, Decimal(10), given) == Decimal("8.2")  # 77 / 10 + 0.5
    assert long_run(WORK, Decimal(10), given) == Decimal("13.5")  # 77 / 10 / 0.7 + 0.5 + 2


def test_what_is_paid_anyway_costs_nothing_more_until_it_is_full() -> None:
    owned = Assumptions(avoidable={"worker.gpu": Decimal(0)})
    assert short_run(WORK, Decimal(10), owned) == 0
    full = Assumptions(
        avoidable={"worker.gpu": Decimal(0)}, opportunity={"worker.gpu": Decimal("0.1")}
    )
    assert short_run(WORK, Decimal(10), full) == 10
    assert long_run(WORK, Decimal(10), full) == long_run(WORK, Decimal(10), owned) == 11


def test_retries_may_be_the_companys() -> None:
    given = Assumptions(retries_in_units=False)
    assert long_run(WORK, Decimal(10), given) == 10


def test_a_contract_fills_spare_capacity_before_it_buys() -> None:
    """70 s a unit at 70%: 100 s; of 1,000 s a month, 400 stand idle in the first."""
    given = Assumptions()
    months = [MonthOfTerm(Decimal(10), Decimal(400)), MonthOfTerm(Decimal(10))]
    cost = incremental(months, seconds_per_unit=Decimal(70), rate=Decimal("0.01"), given=given)
    assert cost == Decimal("0.8")
    idle = [MonthOfTerm(Decimal(10), Decimal(5000))]
    assert incremental(idle, seconds_per_unit=Decimal(70), rate=Decimal(1), given=given) == 0
    with pytest.raises(InvalidInput, match="has units"):
        incremental([], seconds_per_unit=Decimal(1), rate=Decimal(1), given=given)


@given(
    amount=st.integers(2, 10**9),
    units=st.integers(2, 10**9),
    volume=st.sampled_from([2, 4, 10, 50]),
)
def test_a_fall_in_volume_never_raises_the_long_run(amount: int, units: int, volume: int) -> None:
    """Less is sold, less is worked; workers stand and wait, and no unit pays for that."""
    assumptions = Assumptions(overhead_rate=Decimal(3))
    before = [Work("w", Decimal(amount * volume), Decimal(amount))]
    less = [Work("w", Decimal(amount), Decimal(amount) / volume)]
    assert long_run(before, Decimal(units * volume), assumptions) == pytest.approx(
        long_run(less, Decimal(units), assumptions), rel=Decimal("1e-20")
    )


def test_a_utilisation_that_is_no_share_is_refused() -> None:
    with pytest.raises(InvalidInput, match="planned utilisation"):
        Assumptions(planned_utilisation=Decimal(0))
