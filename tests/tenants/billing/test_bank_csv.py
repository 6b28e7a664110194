"""A bank's CSV: what is read, and that a faulty file says where and is not taken in part."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.billing.manual.bank_csv import MAX_BYTES, Transfer, transfers_read
from tenants.kernel.errors import InvalidInput

HEADER = "date,amount,currency,reference,payer,bank_id\n"


def test_a_file_is_read() -> None:
    content = HEADER + '2026-11-30,1234.50,USD,"BW-2026-000001, thanks",Acme Ltd,B1\n'
    assert transfers_read(content.encode()) == [
        Transfer(
            date=dt.date(2026, 11, 30),
            amount=Decimal("1234.50"),
            currency="USD",
            reference="BW-2026-000001, thanks",
            payer="Acme Ltd",
            bank_id="B1",
        )
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_order_case_marks_and_further_columns(separator: str) -> None:
    lines = [
        "Bank_ID|Payer|Reference|Currency|Amount|Date|Balance",
        "B1|公司|r|JPY|500|2026-11-30|9",
    ]
    content = "\r\n".join(line.replace("|", separator) for line in lines)
    (transfer,) = transfers_read(b"\xef\xbb\xbf" + content.encode())
    assert (transfer.payer, transfer.amount, transfer.currency) == ("公司", 500, "JPY")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("30.11.2026,1,USD,r,p,B1", "line 2: date '30.11.2026'"),
        ("2026-11-30,ten,USD,r,p,B1", "line 2: amount 'ten'"),
        ("2026-11-30,NaN,USD,r,p,B1", "must be above 0"),
        ("2026-11-30,Infinity,USD,r,p,B1", "must be above 0"),
        ("2026-11-30,-5,USD,r,p,B1", "must be above 0"),
        ("2026-11-30,1.005,USD,r,p,B1", "more decimals than USD"),
        ("2026-11-30,1.5,JPY,r,p,B1", "more decimals than JPY"),
        ("2026-11-30,1,usd,r,p,B1", "three capital letters"),
        ("2026-11-30,1,USD,r,p,", "bank_id is empty"),
        ("2026-11-30,1,USD", "bank_id is empty"),
        (f"2026-11-30,1,USD,{'r' * 301},p,B1", "reference is at most 300"),
        ('2026-11-30,1,USD,"r,p,B1', "after line 1: unexpected end"),
    ],
)
def test_a_faulty_line_is_named(line: str, fault: str) -> None:
    with pytest.raises(InvalidInput, match=fault):
        transfers_read((HEADER + line + "\n").encode())


def test_all_faulty_lines_are_told_at_once_and_ten_are_shown() -> None:
    good = "2026-11-30,1,USD,r,p,B0\n"
    with pytest.raises(InvalidInput) as raised:
        transfers_read((HEADER + good + "x,1,USD,r,p,B1\n" * 12).encode())
    assert raised.value.message.count("line ") == 10
    assert "line 3:" in raised.value.message
    assert "and 2 more" in raised.value.message


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "missing: date"),
        (b"date,amount\n", "missing: currency, reference, payer, bank_id"),
        (b"date,date,amount,currency,reference,payer,bank_id\n", "named twice"),
        (HEADER.encode() + "2026-11-30,1,USD,Müller,p,B1".encode("latin-1"), "line 2 is not UTF-8"),
        (HEADER.encode("utf-16"), "UTF-8"),
        (b"PK\x03\x04\x00\x00", "null"),
        (b"x" * (MAX_BYTES + 1), "larger"),
    ],
)
def test_a_faulty_file_is_refused(content: bytes, fault: str) -> None:
    with pytest.raises(InvalidInput, match=fault):
        transfers_read(content)


def test_one_bank_id_is_one_transfer() -> None:
    line = "2026-11-30,1,USD,r,p,B1\n"
    with pytest.raises(InvalidInput, match="two different lines"):
        transfers_read((HEADER + line + line.replace(",1,", ",2,")).encode())


@given(st.binary(max_size=300))
def test_whatever_comes_is_read_or_refused(content: bytes) -> None:
    for data in (content, HEADER.encode() + content):
        try:
            transfers_read(data)
        except InvalidInput:
            continue
