"""Our own CSV of price moves: prices per million tokens, one move a row. Pure.

Columns: date, provider, model, model_class, currency, input_before, output_before, input_after,
output_after, kind, source, confidence. Empty cells are not known; 0 is a free tier.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import minor_units
from tenants.market.importing.units import MILLION, Unit, unit_settle
from tenants.market.moves import BEGINS, Kind, Price, PriceMove

COLUMNS = (
    "date", "provider", "model", "model_class", "currency", "input_before", "output_before",
    "input_after", "output_after", "kind", "source", "confidence",
)  # fmt: skip
SHIPPED = Path(__file__).parents[1] / "data" / "price_history.csv"
CONFIDENCES = ("primary", "secondary")
MOST_ROWS = 100_000
HIGHEST_PRICE = 1_000_000.0
LONGEST = {"provider": 80, "model": 160, "model_class": 40, "source": 300}

_DAY = r"(\d{4}-\d{2}-\d{2})"
_KINDS: tuple[tuple[str, Kind], ...] = (
    (r"cut", Kind.CUT),
    (rf"cut \(permanent from {_DAY}\)", Kind.CUT),
    (r"rise", Kind.RISE),
    (r"launch", Kind.LAUNCH),
    (r"free", Kind.FREE),
    (r"off-peak", Kind.OFF_PEAK),
    (r"cut \(successor\)", Kind.SUCCESSOR_CUT),
    (r"rise \(successor\)", Kind.SUCCESSOR_RISE),
    (r"rise \(promotion ended\)", Kind.PROMOTION_END),
    (rf"promotion until {_DAY}", Kind.PROMOTION),
    (rf"promotion until at least {_DAY}", Kind.PROMOTION),
)


@dataclass(frozen=True)
class _Row:
    """One line's cells by column, and where it stands."""

    cells: dict[str, str]
    line: int

    def refuse(self, column: str, why: str) -> InvalidInput:
        return InvalidInput(f"line {self.line}, {column}: {why}", param=column)

    def text(self, column: str) -> str:
        value = self.cells[column].strip()
        longest = LONGEST.get(column, 80)
        if not value:
            raise self.refuse(column, "is empty")
        if len(value) > longest or not value.isprintable():
            raise self.refuse(column, f"must be at most {longest} printable characters")
        return value

    def day(self, column: str, value: str | None = None) -> dt.date:
        text = self.text(column) if value is None else value
        try:
            return dt.date.fromisoformat(text)
        except ValueError as error:
            raise self.refuse(column, f"{text[:40]!r} is no date like 2026-08-31") from error

    def number(self, column: str) -> float | None:
        text = self.cells[column].strip()
        if not text:
            return None
        try:
            value = float(text)
        except ValueError as error:
            raise self.refuse(column, f"{text[:40]!r} is no number") from error
        if not math.isfinite(value) or not 0 <= value <= HIGHEST_PRICE:
            raise self.refuse(column, f"{text[:40]} is no price: 0 to {HIGHEST_PRICE:,.0f}")
        return value

    def price(self, moment: str) -> Price:
        return Price(self.number(f"input_{moment}"), self.number(f"output_{moment}"))


def moves_read(text: str, *, unit: str | None = None) -> tuple[PriceMove, ...]:
    """Read a file of moves. `unit` states what its prices are of, where that is not a million.

    Raises InvalidInput: the line and the column in its message, the column in `param`; the unit
    where the numbers look like prices of a token and nothing was stated.
    """
    moves = tuple(_move(row) for row in _rows(text))
    if not moves:
        raise InvalidInput("the file has no moves, only a header", param="file")
    prices = [p for m in moves for p in _prices(m)]
    if unit_settle(prices, named=Unit.PER_MILLION, stated=unit) is Unit.PER_TOKEN:
        return tuple(_per_million(move) for move in moves)
    return moves


def shipped_moves() -> tuple[PriceMove, ...]:
    """The history that comes with the product; `data/README.md` says where it is from."""
    return moves_read(SHIPPED.read_text(encoding="utf-8"))


def _rows(text: str) -> Iterator[_Row]:
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header)
        for number, cells in enumerate(reader):
            if number >= MOST_ROWS:
                raise InvalidInput(f"more than {MOST_ROWS:,} rows; import in parts", param="file")
            if not any(cells):
                continue
            if len(cells) != len(header):
                raise InvalidInput(
                    f"line {reader.line_num} has {len(cells)} cells, the header {len(header)}",
                    param="file",
                )
            yield _Row(dict(zip(header, cells, strict=True)), reader.line_num)
    except csv.Error as error:
        raise InvalidInput(f"line {reader.line_num} is no CSV: {error}", param="file") from error


def _check_header(header: Sequence[str]) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    missing = [name for name in COLUMNS if name not in header]
    if unknown or missing or len(set(header)) != len(header):
        problems = [
            f"{label} {', '.join(repr(name[:40]) for name in names[:5])}"
            for label, names in (("unknown", unknown), ("missing", missing))
            if names
        ] or ["a column twice"]
        raise InvalidInput(
            f"the columns do not fit: {'; '.join(problems)}. Expected are {','.join(COLUMNS)}",
            param="file",
            code="unknown_columns",
        )


def _move(row: _Row) -> PriceMove:
    kind, days = _kind(row)
    currency = row.text("currency")
    try:
        minor_units(currency)
    except ValueError as error:
        raise row.refuse("currency", str(error)) from error
    confidence = row.text("confidence")
    if confidence not in CONFIDENCES:
        raise row.refuse("confidence", f"is one of {', '.join(CONFIDENCES)}")
    move = PriceMove(
        date=row.day("date"),
        provider=row.text("provider"),
        model=row.text("model"),
        model_class=row.text("model_class"),
        currency=currency,
        before=row.price("before"),
        after=row.price("after"),
        kind=kind,
        source=row.text("source"),
        confidence=confidence,
        **days,
    )
    _check(row, move)
    return move


def _kind(row: _Row) -> tuple[Kind, dict[str, Any]]:
    text = row.text("kind")
    for pattern, kind in _KINDS:
        found = re.fullmatch(pattern, text)
        if found is None:
            continue
        if kind is Kind.PROMOTION:
            until = row.day("kind", found[1])
            return kind, {"until": until, "ends_at_least": "at least" in text}
        if found.re.groups:
            return kind, {"permanent_from": row.day("kind", found[1])}
        return kind, {}
    known = ", ".join(pattern.replace("\\", "").replace(_DAY, "DATE") for pattern, _ in _KINDS)
    raise row.refuse("kind", f"{text[:60]!r} is none of: {known.replace(_DAY, 'DATE')}")


def _check(row: _Row, move: PriceMove) -> None:
    """What a row says must hang together: a free tier is 0, and nothing else is."""
    if not move.after.is_known:
        raise row.refuse("input_after", "no price after the move is given")
    after = [price for price in (move.after.input, move.after.output) if price is not None]
    if move.kind is Kind.FREE and any(after):
        raise row.refuse("input_after", "a free tier costs 0")
    if move.kind is not Kind.FREE and not any(after):
        raise row.refuse("input_after", "a price of 0 is a free tier; say kind=free")
    if move.kind in BEGINS and move.before.is_known:
        raise row.refuse("input_before", f"a {move.kind} has no price before it")
    change = move.log_change
    if change is not None and (
        (move.kind is Kind.CUT and change >= 0) or (move.kind is Kind.RISE and change <= 0)
    ):
        raise row.refuse("kind", f"says {move.kind}, but the price goes the other way")
    if move.until is not None and move.until < move.date:
        raise row.refuse("kind", "the promotion ends before it begins")


def _prices(move: PriceMove) -> list[float]:
    sides = (move.before.input, move.before.output, move.after.input, move.after.output)
    return [price for price in sides if price is not None]


def _per_million(move: PriceMove) -> PriceMove:
    return replace(move, before=_scaled(move.before), after=_scaled(move.after))


def _scaled(price: Price) -> Price:
    return Price(*(None if p is None else p * MILLION for p in (price.input, price.output)))
