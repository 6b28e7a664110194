"""Like-for-like matching, the index and the decline, on markets small enough to do by hand."""

from __future__ import annotations

import datetime as dt
import math

import pytest

from tenants.market.importing.moves_csv import shipped_moves
from tenants.market.moves import History, Kind, Price, month_number
from tenants.market.rivals.exposure import exposures
from tenants.market.trends.decline import decline, halving_months, yearly_share
from tenants.market.trends.index import classes_of, panel_of, price_index
from tenants.market.trends.matching import list_price_moves, match
from tests.tenants.market.factories import launch, move

END = dt.date(2025, 12, 31)
BEGIN = dt.date(2024, 12, 5)


def test_a_price_is_compared_over_the_sides_that_are_known_on_both() -> None:
    assert move().log_change == pytest.approx(-math.log(2))
    one_side = move(before=Price(4.0, None), after=Price(1.0, 9.0))
    assert one_side.log_change == pytest.approx(-math.log(4))
    assert move(before=Price(None, 3.0), after=Price(1.0, None)).log_change is None
    blended = move(before=Price(1.0, 5.0), after=Price(1.0, 1.0))
    assert blended.log_change == pytest.approx(-math.log(2))  # 3/4 of 1 and 1/4 of 5 make 2
    assert move(after=Price(0.0, 0.0), kind=Kind.FREE).log_change is None


def test_every_shipped_row_is_matched_or_has_a_reason_not_to_be() -> None:
    moves = shipped_moves()
    found = match(moves)
    assert len(found.matched) + len(found.unmatched) == len(moves)
    kinds = {m.move.kind for m in found.matched}
    assert not kinds & {Kind.LAUNCH, Kind.FREE, Kind.OFF_PEAK, Kind.SUCCESSOR_CUT}
    assert Kind.PROMOTION in kinds
    assert {m.move.kind for m in list_price_moves(History.of(moves))} == {Kind.CUT}


def test_the_shipped_history_has_the_moves_that_its_notes_speak_of() -> None:
    paired = [m for m in shipped_moves() if m.log_change is not None]
    assert sum(m.date.year < 2026 for m in paired) == 13
    assert sum(m.date.year == 2026 for m in paired) == 6


def test_every_matched_move_lies_within_its_products_months_on_sale() -> None:
    history = History.of(shipped_moves())
    at_risk = {e.product: e for e in exposures(history)}
    for found in match(history.moves).matched:
        assert at_risk[found.move.product].covers(month_number(found.move.date))


def test_the_index_is_the_geometric_mean_of_what_is_on_sale() -> None:
    """Two products; one is halved: the index falls by √2. A cheap newcomer changes nothing."""
    history = History.of(
        [
            launch("a", BEGIN), launch("b", BEGIN),
            move(model="a", date=dt.date(2025, 3, 10)),
            launch("cheap", dt.date(2025, 5, 1), provider="Other", after=Price(0.01, 0.01)),
        ],
        END,
    )  # fmt: skip
    index = price_index(history)
    level = dict(zip(index.months, index.level, strict=True))
    assert level[month_number(dt.date(2025, 2, 1))] == pytest.approx(100)
    assert level[month_number(dt.date(2025, 3, 1))] == pytest.approx(100 / math.sqrt(2))
    assert level[month_number(END)] == pytest.approx(100 / math.sqrt(2))
    assert index.products[-1] == 3


def test_a_promotion_lowers_the_index_and_its_end_brings_it_back() -> None:
    history = History.of(
        [
            launch("a", BEGIN),
            move(
                model="a", date=dt.date(2025, 3, 1), kind=Kind.PROMOTION,
                until=dt.date(2025, 5, 1),
            ),
            move(
                model="a", date=dt.date(2025, 5, 2), kind=Kind.PROMOTION_END,
                before=Price(1.0, 1.0), after=Price(2.0, 2.0),
            ),
        ],
        END,
    )  # fmt: skip
    assert min(price_index(history).level) == pytest.approx(50)
    assert price_index(history).level[-1] == pytest.approx(100)


def test_decline_is_the_log_change_per_month_on_sale() -> None:
    """Four products, each halved once in twelve months on sale: prices halve in a year."""
    moves = [launch(name, BEGIN, provider=name) for name in "abcd"]
    moves += [move(model=name, provider=name, date=dt.date(2025, 3, 10)) for name in "abcd"]
    found = decline(History.of(moves, END))
    assert found is not None
    assert (found.products, found.months, found.moves) == (4, 4 * 12, 4)
    assert found.yearly.value == pytest.approx(0.5)
    assert found.halving_months.value == pytest.approx(12)
    assert found.yearly.low == pytest.approx(0.5)  # all alike: nothing to be unsure of


def test_with_few_products_there_is_no_interval() -> None:
    found = decline(History.of([launch("a", BEGIN), move(model="a")], END))
    assert found is not None
    assert found.yearly.low is None
    assert found.yearly.high is None


def test_prices_that_rise_never_halve() -> None:
    assert halving_months(-0.01) == math.inf
    assert halving_months(0.0) == math.inf
    assert yearly_share(math.log(2) / 12) == pytest.approx(0.5)
    assert yearly_share(-math.log(2) / 12) == pytest.approx(-1.0)


def test_intervals_of_the_shipped_history_hold_their_value() -> None:
    history = History.of(shipped_moves())
    for name in ["", *classes_of(history)]:
        found = decline(history, name)
        if found is not None and found.yearly.low is not None:
            assert found.yearly.low <= found.yearly.value <= (found.yearly.high or 0)
    assert panel_of(history, "no such class").months == ()
    assert decline(history, "no such class") is None
