"""A bank's list of transfers, as CSV: read, checked line by line. Pure.

Columns, in any order, by name: date, amount, currency, reference, payer, bank_id. UTF-8 (a byte
order mark is let through), separated by comma, semicolon or tab; dates ISO 8601; amounts with a
decimal point.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import minor_units

COLUMNS = ("date", "amount", "currency", "reference", "payer", "bank_id")
MAX_BYTES = 5 * 1024 * 1024
MAX_LINES = 20_000
MAX_SHOWN = 10
_LONGEST = {"reference": 300, "payer": 200, "bank_id": 120}


@dataclass(frozen=True)
class Transfer:
    """One line. `amount` is above zero, in whole minor units of `currency`."""

    date: dt.date
    amount: Decimal
    currency: str
    reference: str
    payer: str
    bank_id: str

    @property
    def payload_hash(self) -> str:
        """sha256 of all that the line says."""
        payload = [
            self.date.isoformat(), f"{self.amount.normalize():f}", self.currency, self.reference,
            self.payer,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(payload).encode()).hexdigest()


def transfers_read(content: bytes) -> list[Transfer]:
    """Return the transfers of a file.

    Raises InvalidInput that names every faulty line (the first ten of them): nothing of a faulty
    file is taken.
    """
    rows = _rows(_text(content))
    transfers: list[Transfer] = []
    faults: list[str] = []
    for number, row in rows:
        try:
            transfers.append(_transfer(row))
        except ValueError as error:
            faults.append(f"line {number}: {error}")
    faults += _repeated(transfers)
    if faults:
        more = f"; and {len(faults) - MAX_SHOWN} more" if len(faults) > MAX_SHOWN else ""
        raise InvalidInput(
            "; ".join(faults[:MAX_SHOWN]) + more, param="file", code="invalid_bank_file"
        )
    return transfers


def _text(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise InvalidInput(f"the file is larger than {MAX_BYTES} bytes", param="file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidInput(
            f"line {line} is not UTF-8; save the file as UTF-8", param="file"
        ) from error
    if "\0" in text:
        raise InvalidInput("this is no text file: it holds a null character", param="file")
    return text


def _rows(text: str) -> list[tuple[int, dict[str, str]]]:
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in reader.fieldnames or ()]
        _require_columns(names)
        reader.fieldnames = names
        rows = [
            (reader.line_num, {key: _cell(value) for key, value in row.items() if key in COLUMNS})
            for row in reader
        ]
    except csv.Error as error:
        raise InvalidInput(f"after line {reader.line_num}: {error}", param="file") from error
    if len(rows) > MAX_LINES:
        raise InvalidInput(f"at most {MAX_LINES} lines at once, not {len(rows)}", param="file")
    return rows


def _cell(value: str | Sequence[str] | None) -> str:
    return value.strip() if isinstance(value, str) else ""


def _require_columns(names: Sequence[str]) -> None:
    if missing := [name for name in COLUMNS if name not in names]:
        raise InvalidInput(
            f"the first line must name the columns {', '.join(COLUMNS)}; "
            f"missing: {', '.join(missing)}",
            param="file",
            code="invalid_bank_file",
        )
    if len(set(names)) < len(names):
        raise InvalidInput("a column is named twice", param="file", code="invalid_bank_file")


def _transfer(row: dict[str, str]) -> Transfer:
    currency = row["currency"]
    minor_units(currency)  # refuses what is no currency
    for name, longest in _LONGEST.items():
        if len(row[name]) > longest or not row[name].isprintable():
            raise ValueError(f"{name} is at most {longest} printable characters")
    if not row["bank_id"]:
        raise ValueError("bank_id is empty; it is what keeps a transfer from counting twice")
    return Transfer(
        date=_date(row["date"]),
        amount=_amount(row["amount"], currency),
        currency=currency,
        reference=row["reference"],
        payer=row["payer"],
        bank_id=row["bank_id"],
    )


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"date {text!r} is not like 2026-11-30") from error


def _amount(text: str, currency: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"amount {text!r} is not a number like 1234.50") from error
    if not amount.is_finite() or not 0 < amount < Decimal(10) ** 15:
        raise ValueError(f"amount {text!r} must be above 0; leave out what was paid out")
    if amount != round(amount, minor_units(currency)):
        raise ValueError(f"amount {text!r} has more decimals than {currency}")
    return amount


def _repeated(transfers: Sequence[Transfer]) -> list[str]:
    """A bank id that stands twice with different contents; equal lines are one transfer."""
    seen: dict[str, str] = {}
    return [
        f"the bank_id {transfer.bank_id!r} stands on two different lines"
        for transfer in transfers
        if seen.setdefault(transfer.bank_id, transfer.payload_hash) != transfer.payload_hash
    ]
