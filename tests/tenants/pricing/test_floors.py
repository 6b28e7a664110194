"""The floor in worked cases, what is left of a price at it, and of which classes it is told."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.costs.unit_economics import UnitEconomics
from tenants.kernel.errors import InvalidInput
from tenants.pricing.floors import FloorTerms, Takes, class_floors, price_floor

D = Decimal


@pytest.mark.parametrize(
    ("cost", "fees", "share", "margin", "floor"),
    [
        ("0.60", "0", "0", "0", "0.60"),
        ("0.60", "0.03", "0.17", "0.20", "1"),  # 0.60 of each unit of price is left
        ("3.50", "0.029", "0", "0.271", "5"),
        ("0", "0.03", "0.2", "0.2", "0"),
    ],
)
def test_worked_cases(cost: str, fees: str, share: str, margin: str, floor: str) -> None:
    assert price_floor(D(cost), Takes(D(fees), D(share), D(margin))) == D(floor)


shares = st.decimals(min_value=0, max_value=D("0.33"), places=4)


@given(
    cost=st.decimals(min_value=0, max_value=10**6, places=12),
    fees=shares,
    share=shares,
    margin=shares,
)
def test_at_the_floor_all_are_paid_and_below_it_not(
    cost: Decimal, fees: Decimal, share: Decimal, margin: Decimal
) -> None:
    floor = Fraction(price_floor(cost, Takes(fees, share, margin)))
    left = floor * (1 - Fraction(fees) - Fraction(share) - Fraction(margin))
    assert abs(left - Fraction(cost)) <= Fraction(cost) * Fraction(1, 10**55)


@pytest.mark.parametrize(
    ("fees", "share", "margin"),
    [("0.5", "0.3", "0.2"), ("-0.1", "0", "0"), ("0", "1", "0"), ("0.4", "0.4", "0.4")],
)
def test_what_leaves_nothing_of_a_price_is_refused(fees: str, share: str, margin: str) -> None:
    with pytest.raises(InvalidInput):
        Takes(D(fees), D(share), D(margin))


def test_a_negative_cost_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 0"):
        price_floor(D(-1), Takes())


def measured(tokens: str, base: str = "mini") -> UnitEconomics:
    """A class whose million tokens cost 3.50 on average."""
    return UnitEconomics(
        kind="fine_tune", base=base, split="", tokens=D(tokens), direct=D("3.5"),
        short_run=D("2.1"), long_run=D("3.5"), share=None, scenarios={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tokens", "floors"), [("999999.999999999999", []), ("1000000", [D(5)]), ("9e12", [D(5)])]
)
def test_what_made_fewer_than_a_million_tokens_tells_no_floor(
    tokens: str, floors: list[Decimal]
) -> None:
    terms = FloorTerms(takes=Takes(margin=D("0.3")))
    found = class_floors([measured(tokens)], terms)
    assert [each.floor for each in found] == floors
    assert [each.stop for each in found] == [D("2.1")] * len(floors)


def test_a_class_of_few_tokens_sets_no_floor_for_the_others() -> None:
    """Else one short run, its start-up spread over nothing, would stop every price for any base."""
    few = replace(measured("4000", "new"), long_run=D(900))
    found = class_floors([few, measured("2e6")], FloorTerms())
    assert [(each.base, each.floor) for each in found] == [("mini", D("3.5"))]
