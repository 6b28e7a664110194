"""Quantities of an order: what may be ordered, and milestones that come to it one by one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tenants.kernel.errors import InvalidInput
from tenants.marketplace.quantities import milestone_next, milestones_read, require_positive

TWO = [{"title": "a", "quantity": "0.5"}, {"title": "b", "quantity": "2"}]


@pytest.mark.parametrize("value", ["0", "-1", "1000000000", "0.0000001", "NaN", "Infinity"])
def test_what_is_no_quantity_is_refused_by_name(value: str) -> None:
    with pytest.raises(InvalidInput, match="hours is above 0"):
        require_positive(Decimal(value), "hours")


def test_a_quantity_has_six_decimals_and_any_size_below_the_most() -> None:
    require_positive(Decimal("0.000001"), "hours")
    require_positive(Decimal("999999999.999999"), "hours")


def test_milestones_come_to_the_order() -> None:
    read = milestones_read(TWO, Decimal("2.5"))
    assert [(each["quantity"], each["confirmed"]) for each in read] == [
        ("0.5", False),
        ("2", False),
    ]
    assert milestones_read([], Decimal(7)) == []
    with pytest.raises(InvalidInput, match=r"come to 2\.5, the order to 3"):
        milestones_read(TWO, Decimal(3))


def test_the_next_milestone_is_the_first_that_is_not_confirmed() -> None:
    first, second = milestones_read(TWO, Decimal("2.5"))
    assert milestone_next([first, second], None) == Decimal("0.5")
    done = {**first, "confirmed": True}
    assert milestone_next([done, second], 2) == 2
    with pytest.raises(InvalidInput, match="the next milestone is 2"):
        milestone_next([done, second], 1)
    with pytest.raises(InvalidInput, match="no milestone to deliver"):
        milestone_next([done, {**second, "confirmed": True}], None)
