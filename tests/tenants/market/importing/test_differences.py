"""A price list beside what was known: what moved, and what only looks so."""

from __future__ import annotations

import datetime as dt

import pytest

from tenants.market.importing.differences import UNKNOWN, Known, moves_since, product_key
from tenants.market.importing.per_token_json import Listed
from tenants.market.moves import Kind, Price

DAY = dt.date(2026, 9, 1)


def seen(
    now: Price, before: Price | None, *, regular: Price = UNKNOWN, currency: str = "USD",
    before_by: frozenset[str] = frozenset({"acme"}),
) -> list[tuple[Kind, Price]]:  # fmt: skip
    known = {}
    if before is not None:
        row = Known("Acme", "acme-1", "small", currency, before, regular)
        known[product_key(row.provider, row.model)] = row
    listed = [Listed("acme", "acme/acme-1", now, None)]
    found = moves_since(listed, known, day=DAY, source="list", listed_before=before_by)
    return [(move.kind, move.before) for move in found]


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        (Price(2.0, 8.0), Price(1.0, 4.0), Kind.CUT),
        (Price(2.0, 8.0), Price(2.0, 9.0), Kind.RISE),
        (Price(2.0, None), Price(1.0, 8.0), Kind.CUT),
    ],
)
def test_another_price_is_a_move_from_the_known_one(before: Price, now: Price, kind: Kind) -> None:
    assert seen(now, before) == [(kind, before)]


def test_the_same_price_is_no_move_whatever_its_last_binary_digit() -> None:
    assert seen(Price(0.15, 0.6), Price(0.15 + 1e-17, 0.1 * 6)) == []


def test_a_promotion_that_is_over_is_no_rise() -> None:
    found = seen(Price(2.0, 8.0), Price(1.0, 4.0), regular=Price(2.0, 8.0))
    assert [kind for kind, _ in found] == [Kind.PROMOTION_END]


def test_a_product_is_launched_only_where_an_earlier_list_lacked_it() -> None:
    assert seen(Price(1.0, 2.0), None, before_by=frozenset()) == []
    assert seen(Price(1.0, 2.0), None, before_by=frozenset({"other"})) == []
    assert seen(Price(1.0, 2.0), None) == [(Kind.LAUNCH, Price())]


def test_a_free_tier_begins_and_ends_as_an_offer_not_as_a_cut() -> None:
    assert seen(Price(0.0, 0.0), Price(1.0, 2.0)) == [(Kind.FREE, Price())]
    assert seen(Price(1.0, 2.0), Price(0.0, 0.0)) == [(Kind.LAUNCH, Price())]


def test_prices_in_two_currencies_are_never_set_beside_each_other() -> None:
    assert seen(Price(1.0, 2.0), Price(7.0, 14.0), currency="CNY") == []
