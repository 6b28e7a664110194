"""Effective prices beside floors: what a unit comes to at the cheapest, in worked cases."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tenants.pricing.cards import CardPrice
from tenants.pricing.floors import ClassFloor
from tenants.pricing.guard import Sale, effective_prices, kept_share
from tests.tenants.pricing.factories import D, card_price, model, tiers


def floor(usd: str, *, kind: str = "serve", base: str = "mini", stop: str = "0") -> ClassFloor:
    return ClassFloor(kind, base, D(usd), D(stop))


def below(*prices: CardPrice, cost: str, kind: str = "serve", **of: Any) -> list[str]:
    given = {name: D(value) if isinstance(value, str) else value for name, value in of.items()}
    found = effective_prices(
        Sale("book", prices, **given),
        [floor(cost, kind=kind), floor("0")],
        currency="USD",
    )
    return [price.price_key for price in found if price.is_below]


def test_a_price_is_below_cost_net_of_its_discount() -> None:
    price = card_price("tokens.input", model("standard", unit="0.60", per="1000000"))
    assert below(price, cost="0.60") == []
    assert below(price, cost="0.54", discount="0.1") == []
    assert below(price, cost="0.540000000001", discount="0.1") == ["tokens.input"]


def test_the_cheapest_tier_counts() -> None:
    graduated = model("graduated", per="1000000", tiers=tiers(("1000000", "0.60"), (None, "0.30")))
    assert below(card_price("tokens.output", graduated), cost="0.40") == ["tokens.output"]
    assert below(card_price("tokens.output", graduated), cost="0.30") == []


def test_a_flat_fee_sells_its_next_token_for_nothing() -> None:
    assert below(card_price("tokens.output", model("flat", fee="99")), cost="0.01") == [
        "tokens.output"
    ]


def test_only_tokens_are_compared_and_with_their_own_work() -> None:
    cheap = model("standard", unit="0.01", per="1000000")
    assert below(card_price("requests", cheap), cost="5") == []
    assert below(card_price("tokens.trained", cheap), cost="5") == []
    assert below(card_price("tokens.trained", cheap), cost="5", kind="fine_tune") == [
        "tokens.trained"
    ]


def test_a_price_of_one_base_is_held_against_that_bases_cost() -> None:
    priced = model("standard", unit="1", per="1000000")
    mini = card_price("tokens.input", priced, {"base": "mini"})
    other = card_price("tokens.input", priced, {"base": "other"})
    assert below(mini, other, cost="2") == ["tokens.input?base=mini"]


def test_the_refusal_shows_the_arithmetic() -> None:
    priced = model("standard", unit="0.60", per="1000000")
    sale = Sale("book", [card_price("tokens.input", priced)], discount=D("0.25"))
    (found,) = effective_prices(sale, [floor("0.75")], currency="USD")
    assert found.arithmetic == (
        "tokens.input: 0.6 x (1 - 0.25) = 0.45 USD per million tokens, below the floor of "
        "0.75 for mini (short by 0.3)"
    )
    sale = dataclasses.replace(sale, kept=D("0.5"))
    (found,) = effective_prices(sale, [floor("0.75", stop="0.4")], currency="USD")
    assert found.arithmetic == (
        "tokens.input: 0.6 x (1 - 0.25) x 0.5 (after credit and caps) = 0.225 USD per million "
        "tokens, below the floor of 0.75 for mini (short by 0.525), and below its short-run cost "
        "of 0.4"
    )


def test_the_books_currency_is_converted_to_that_of_costs() -> None:
    yen = card_price("tokens.input", model("standard", unit="90", per="1000000"))
    assert below(yen, cost="0.55", fx_rate="0.0066") == []  # 0.594 USD
    assert below(yen, cost="0.55", fx_rate="0.0061") == ["tokens.input"]  # 0.549


def test_free_units_and_caps_count_by_the_month_that_is_expected() -> None:
    free = card_price("tokens.input", model("standard", unit="1", per="1000000", allowance="250"))
    assert below(free, cost="0.75", volumes={"tokens.input": D(1000)}) == []  # 750 of 1000 paid
    assert below(free, cost="0.75", volumes={"tokens.input": D(999)}) == ["tokens.input"]
    assert below(free, cost="0.01") == ["tokens.input"]  # nothing is known: all may be free
    capped = card_price("tokens.input", model("standard", unit="1", cap="10"))
    assert below(capped, cost="500000", volumes={"tokens.input": D(20)}) == []
    assert below(capped, cost="500000", volumes={"tokens.input": D(21)}) == ["tokens.input"]


@pytest.mark.parametrize(
    ("rated", "given", "cap", "kept"),
    [
        ("100", "0", None, "1"),
        ("100", "25", None, "0.75"),
        ("100", "0", "80", "0.8"),
        ("100", "30", "80", "0.5"),
        ("100", "130", None, "0"),
        ("0", "1", None, "0"),  # nothing expected: credit may pay for all of it
        ("0", "0", "5", "1"),
        ("0", "0", "0", "0"),
    ],
)
def test_what_credit_and_caps_leave_of_a_month(
    rated: str, given: str, cap: str | None, kept: str
) -> None:
    assert kept_share(D(rated), given=D(given), cap=None if cap is None else D(cap)) == D(kept)
