"""Our CSV: what it holds, and every way in which a file is refused."""

from __future__ import annotations

import datetime as dt

import pytest

from tenants.kernel.errors import InvalidInput
from tenants.market.importing.moves_csv import COLUMNS, moves_read, shipped_moves
from tenants.market.importing.units import Unit, looks_like
from tenants.market.moves import Kind, Price

ROW = {
    "date": "2025-06-10", "provider": "Acme", "model": "acme-1", "model_class": "small",
    "currency": "USD", "input_before": "2", "output_before": "4", "input_after": "1",
    "output_after": "2", "kind": "cut", "source": "acme.example/pricing", "confidence": "primary",
}  # fmt: skip


def written(*rows: dict[str, str]) -> str:
    return "\n".join([",".join(COLUMNS), *(",".join((ROW | row).values()) for row in rows)]) + "\n"


def test_a_row_is_read_whole() -> None:
    (found,) = moves_read(written({}))
    assert (found.date, found.kind) == (dt.date(2025, 6, 10), Kind.CUT)
    assert (found.before, found.after) == (Price(2.0, 4.0), Price(1.0, 2.0))
    assert (found.source, found.confidence) == ("acme.example/pricing", "primary")


def test_kinds_carry_their_dates() -> None:
    promotion, at_least, permanent = moves_read(
        written(
            {"kind": "promotion until 2025-08-31"},
            {"kind": "promotion until at least 2025-09-30"},
            {"kind": "cut (permanent from 2025-07-01)"},
        )
    )
    assert (promotion.until, promotion.ends_at_least) == (dt.date(2025, 8, 31), False)
    assert (at_least.until, at_least.ends_at_least) == (dt.date(2025, 9, 30), True)
    assert permanent.permanent_from == dt.date(2025, 7, 1)


def test_the_shipped_history_is_read_with_its_sources() -> None:
    moves = shipped_moves()
    assert len(moves) == 39
    assert all(move.source and move.confidence in {"primary", "secondary"} for move in moves)


def test_empty_cells_are_unknown_and_zero_is_a_free_tier() -> None:
    (found,) = moves_read(
        written(
            {"kind": "free", "input_before": "", "output_before": "", "input_after": "0",
             "output_after": ""}
        )
    )  # fmt: skip
    assert found.after == Price(0.0, None)
    assert not found.before.is_known


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"date": "10/06/2025"}, "line 2, date: '10/06/2025' is no date"),
        ({"currency": "XXD"}, "line 2, currency: 'XXD' is no currency"),
        ({"input_after": "cheap"}, "line 2, input_after: 'cheap' is no number"),
        ({"input_after": "nan"}, "line 2, input_after: nan is no price"),
        ({"input_after": "-1"}, "is no price"),
        ({"kind": "gift"}, "line 2, kind: 'gift' is none of: cut"),
        ({"kind": "promotion until 2025-13-01"}, "is no date"),
        ({"kind": "promotion until 2025-01-01"}, "ends before it begins"),
        ({"provider": ""}, "line 2, provider: is empty"),
        ({"confidence": "rumour"}, "line 2, confidence"),
        ({"kind": "rise"}, "the price goes the other way"),
        ({"kind": "free"}, "a free tier costs 0"),
        ({"input_after": "0", "output_after": "0"}, "say kind=free"),
        ({"kind": "launch"}, "a launch has no price before it"),
        ({"input_after": "", "output_after": ""}, "no price after the move"),
    ],
)
def test_a_bad_row_is_refused_by_line_and_column(row: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        moves_read(written(row))
    assert told in caught.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "missing 'date'"),
        (",".join(COLUMNS), "no moves"),
        (",".join(COLUMNS) + ",cached\n", "unknown 'cached'"),
        (",".join(COLUMNS[1:]) + "\n", "missing 'date'"),
        (",".join(COLUMNS) + "\n1,2\n", "line 2 has 2 cells, the header 12"),
        (",".join(COLUMNS) + '\n"unclosed', "is no CSV"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        moves_read(text)
    assert told in caught.value.message


PER_TOKEN = {
    "input_before": "2e-6", "output_before": "4e-6", "input_after": "1e-6", "output_after": "2e-6"
}  # fmt: skip


def test_prices_of_a_token_are_asked_about_and_never_converted_on_a_guess() -> None:
    with pytest.raises(InvalidInput, match="look like prices per token") as caught:
        moves_read(written(PER_TOKEN))
    assert (caught.value.code, caught.value.param) == ("ambiguous_unit", "unit")
    (said,) = moves_read(written(PER_TOKEN), unit="per_token")
    assert said.after.input == pytest.approx(1.0)
    (meant,) = moves_read(written(PER_TOKEN), unit="per_million")
    assert meant.after.input == pytest.approx(1e-6)


def test_both_units_in_one_file_are_asked_about() -> None:
    with pytest.raises(InvalidInput, match="some prices look like"):
        moves_read(written(PER_TOKEN, {}))
    with pytest.raises(InvalidInput, match="is no unit"):
        moves_read(written({}), unit="per_word")


def test_free_tiers_say_nothing_of_a_unit() -> None:
    assert looks_like([0.0, 0.5]) is Unit.PER_MILLION
    with pytest.raises(ValueError, match="no price above zero"):
        looks_like([0.0])
