"""Charge models against sums worked by hand, and what holds for all of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.kernel.errors import InvalidInput
from tenants.pricing.charge_json import model_from_json, model_to_json
from tenants.pricing.charge_models import (
    ChargeModel,
    Matrix,
    Volume,
    amount,
    constant_unit,
    lowest_unit,
    most,
)
from tests.tenants.pricing.factories import D, model, tiers

GRADUATED = {"tiers": tiers(("100", "0.10"), ("1000", "0.05"), (None, "0.02"))}

# model, fields, quantity → amount, worked by hand
WORKED: list[tuple[str, dict[str, Any], str, str]] = [
    ("flat", {"fee": "9.99"}, "0", "0"),
    ("flat", {"fee": "9.99"}, "0.000001", "9.99"),
    ("flat", {"fee": "9.99"}, "1000000", "9.99"),
    ("standard", {"unit": "0.60", "per": "1000000"}, "1", "0.0000006"),
    ("standard", {"unit": "0.60", "per": "1000000"}, "2500000", "1.5"),
    ("graduated", GRADUATED, "100", "10"),  # 100 x 0.10
    ("graduated", GRADUATED, "101", "10.05"),  # 10 + 1 x 0.05
    ("graduated", GRADUATED, "1500", "65"),  # 10 + 900 x 0.05 + 500 x 0.02
    ("graduated", {"tiers": [{"up_to": "10", "unit": "1", "fee": "5"}, {"up_to": None, "unit": "1",
        "fee": "7"}]}, "11", "23"),  # 5 + 10 + 7 + 1
    ("volume", GRADUATED, "100", "10"),
    ("volume", GRADUATED, "101", "5.05"),  # all at 0.05
    ("volume", GRADUATED, "1500", "30"),  # all at 0.02
    ("package", {"price": "3", "size": "1000"}, "1", "3"),
    ("package", {"price": "3", "size": "1000"}, "1000", "3"),
    ("package", {"price": "3", "size": "1000"}, "1000.5", "6"),
    ("percentage", {"percent": "2.9"}, "200", "5.8"),
    ("cost_plus", {"cost": "0.40", "markup": "25", "per": "1000"}, "3000", "1.5"),  # 3 x 0.5
    ("standard", {"unit": "2", "allowance": "10"}, "10", "0"),
    ("standard", {"unit": "2", "allowance": "10"}, "12.5", "5"),
    ("graduated", {**GRADUATED, "allowance": "50"}, "150", "10"),  # tiers begin after the free
    ("standard", {"unit": "2", "minimum": "7"}, "1", "7"),
    ("standard", {"unit": "2", "minimum": "7"}, "0", "0"),
    ("standard", {"unit": "2", "minimum": "7"}, "4", "8"),
    ("standard", {"unit": "2", "cap": "9"}, "100", "9"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields", "quantity", "due"), WORKED)
def test_amounts_are_those_worked_by_hand(
    name: str, fields: dict[str, Any], quantity: str, due: str
) -> None:
    assert amount(model(name, **fields), D(quantity)) == D(due)


def test_forty_digits_stay_exact() -> None:
    priced = model("standard", unit="0.000000000001", per="1000000")
    assert amount(priced, D(10) ** 18 - 1) == D("0.999999999999999999")


@pytest.mark.parametrize("quantity", ["-1", "NaN", "Infinity", "-Infinity"])
def test_no_model_prices_what_cannot_be_counted(quantity: str) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        amount(model("standard", unit="1"), D(quantity))


prices = st.decimals("0", "1000", places=6, allow_nan=False)
sizes = st.decimals("0.001", "1000", places=3, allow_nan=False)
quantities = st.decimals("0", "5000", places=4, allow_nan=False)
powers = st.sampled_from(["1", "1000", "1000000"])


@st.composite
def stairs(draw: st.DrawFn) -> list[dict[str, str | None]]:
    widths = draw(st.lists(sizes, max_size=3))
    bounds = [str(sum(widths[: n + 1], D(0))) for n in range(len(widths))]
    return [
        {"up_to": up_to, "unit": str(draw(prices)), "fee": str(draw(prices))}
        for up_to in [*bounds, None]
    ]


@st.composite
def models(draw: st.DrawFn, *, falling: bool = True) -> ChargeModel:
    """Any charge model with any bounds; not those that may fall, unless `falling`."""
    fields: dict[str, Any] = draw(
        st.one_of(
            st.fixed_dictionaries({"model": st.just("flat"), "fee": prices}),
            st.fixed_dictionaries({"model": st.just("standard"), "unit": prices, "per": powers}),
            st.fixed_dictionaries(
                {"model": st.sampled_from(["graduated", "volume"] if falling else ["graduated"]),
                 "tiers": stairs(), "per": powers}
            ),
            st.fixed_dictionaries({"model": st.just("package"), "price": prices, "size": sizes}),
            st.fixed_dictionaries({"model": st.just("percentage"), "percent": prices}),
            st.fixed_dictionaries(
                {"model": st.just("cost_plus"), "cost": prices, "markup": prices, "per": powers}
            ),
        )
    )  # fmt: skip
    minimum = draw(st.none() | prices)
    cap = draw(st.none() | prices.map(lambda most: most + (minimum or 0)))
    made = model_from_json(
        {**fields, "allowance": draw(st.just(D(0)) | sizes), "minimum": minimum, "cap": cap}
    )
    assert isinstance(made, ChargeModel)
    return made


@given(models())
def test_nothing_used_costs_nothing_and_json_keeps_every_model(priced: ChargeModel) -> None:
    assert amount(priced, D(0)) == 0
    assert model_from_json(model_to_json(priced)) == priced


@given(models(falling=False), quantities, quantities)
def test_more_never_costs_less(priced: ChargeModel, before: Decimal, delta: Decimal) -> None:
    assert amount(priced, before + delta) >= amount(priced, before)


@given(models(), quantities, quantities)
def test_no_step_exceeds_the_most_that_was_promised(
    priced: ChargeModel, before: Decimal, delta: Decimal
) -> None:
    assert amount(priced, before + delta) - amount(priced, before) <= most(priced, delta)


@given(models(), quantities, quantities)
def test_where_a_units_price_is_constant_it_tells_every_amount(
    made: ChargeModel, one: Decimal, other: Decimal
) -> None:
    unit = constant_unit(made)
    if unit is not None:
        assert (amount(made, one), amount(made, other)) == (unit * one, unit * other)


def test_a_units_price_is_constant_of_plain_prices_only() -> None:
    plain = {"unit": "0.60", "per": "1000000"}
    assert constant_unit(model("standard", **plain)) == D("0.0000006")
    assert constant_unit(model("cost_plus", cost="2", markup="50")) == 3
    for other in ({"allowance": "5"}, {"cap": "9"}, {"minimum": "0"}):
        assert constant_unit(model("standard", **plain, **other)) is None
    assert constant_unit(model("flat", fee="9.99")) is None
    assert constant_unit(model("graduated", **GRADUATED)) is None


@given(models(), quantities.filter(bool))
def test_no_unit_sells_below_the_lowest_price_but_for_free_units_and_caps(
    priced: ChargeModel, quantity: Decimal
) -> None:
    if priced.cap is None:
        units = max(D(0), quantity - priced.allowance)
        slack = D("0.0001") * units  # a package's unit price is rounded to 18 decimals
        assert amount(priced, quantity) >= lowest_unit(priced) * units - slack


@given(stairs(), quantities)
def test_graduated_equals_the_sum_of_its_tiers_taken_one_by_one(
    steps: list[dict[str, str | None]], quantity: Decimal
) -> None:
    due, below = D(0), D(0)
    for step in steps:
        top = quantity if step["up_to"] is None else min(quantity, D(step["up_to"]))
        if top > below:
            due += (top - below) * D(str(step["unit"])) + D(str(step["fee"]))
        below = max(below, top)
    assert amount(model("graduated", tiers=steps), quantity) == due


def test_a_volume_price_may_fall_where_a_tier_begins() -> None:
    priced = model("volume", **GRADUATED)
    assert isinstance(priced, Volume)
    assert amount(priced, D(101)) < amount(priced, D(100))


def test_a_matrix_is_another_model_for_each_cell() -> None:
    cells = [
        {"values": ["m", "gpu"], "charge": {"model": "standard", "unit": "3"}},
        {"values": ["m", "cpu"], "charge": {"model": "flat", "fee": "1"}},
    ]
    given_ = {"model": "matrix", "dimensions": ["base", "method"], "cells": cells}
    made = model_from_json(given_)
    assert isinstance(made, Matrix)
    assert [match for match, _ in made.matches()] == [
        {"base": "m", "method": "gpu"},
        {"base": "m", "method": "cpu"},
    ]
    assert model_to_json(made) == given_


STANDARD = {"model": "standard", "unit": "1"}


@pytest.mark.parametrize(
    "wrong",
    [
        "standard",
        {"model": "free"},
        {"model": "standard"},
        {"model": "standard", "unit": 0.5},
        {"model": "standard", "unit": True},
        {"model": "standard", "unit": "NaN"},
        {"model": "standard", "unit": "Infinity"},
        {"model": "standard", "unit": "-0.01"},
        {"model": "standard", "unit": "1e15"},
        {"model": "standard", "unit": "0.0000000000001"},
        {"model": "standard", "unit": "one"},
        {"model": "standard", "unit": "1", "colour": "red"},
        {"model": "standard", "unit": "1", "per": "3"},
        {"model": "standard", "unit": "1", "per": "0"},
        {"model": "standard", "unit": "1", "minimum": "3", "cap": "2"},
        {"model": "package", "price": "1", "size": "0"},
        {"model": "graduated", "tiers": []},
        {"model": "graduated", "tiers": [{"up_to": "5", "unit": "1"}]},
        {"model": "graduated", "tiers": tiers(("5", "1"), ("5", "1"), (None, "1"))},
        {"model": "graduated", "tiers": tiers((None, "1"), (None, "1"))},
        {"model": "volume", "tiers": [{"up_to": None}]},
        {"model": "matrix", "dimensions": [], "cells": [{"values": [], "charge": STANDARD}]},
        {"model": "matrix", "dimensions": ["base"], "cells": []},
        {"model": "matrix", "dimensions": ["base"], "cells": [{"values": [], "charge": STANDARD}]},
        {
            "model": "matrix",
            "dimensions": ["base"],
            "cells": [{"values": ["m"], "charge": STANDARD}] * 2,
        },
    ],
)
def test_a_charge_that_makes_no_sense_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        model_from_json(wrong)
    assert refused.value.code == "invalid_price"
