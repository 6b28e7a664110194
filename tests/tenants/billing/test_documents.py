"""The document says what the invoice says: read back by another library, in both languages."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
from decimal import Decimal

import pytest
from pypdf import PdfReader

from tenants.billing.descriptions import CHINESE, ENGLISH, line_said
from tenants.billing.documents.figures import amount, percent, quantity
from tenants.billing.documents.invoice_csv import invoice_csv
from tenants.billing.documents.invoice_pdf import invoice_pdf
from tenants.billing.documents.view import InvoiceView, Line, Party, Tax
from tenants.billing.stating import LineKey
from tenants.usage.meters import METERS

D = Decimal


def line(position: int, description: str, net: str, number: str | None = None) -> Line:
    return Line(
        position=position,
        kind="usage",
        description=description,
        period="2026-11",
        quantity=D(number) if number else None,
        unit="token" if number else "",
        exact=D(net) + D("0.001"),
        net=D(net),
        meter="tokens.input" if number else "",
        price_version="bookv_1",
    )


VIEW = InvoiceView(
    number="BW-2026-000007",
    state="open",
    currency="USD",
    period="2026-11",
    issued_on=dt.date(2026, 12, 4),
    due_on=dt.date(2026, 12, 18),
    seller=Party("Breakwater Ltd", ("1 Harbour Road", "Port Town"), "GB123", "books@example.test"),
    customer=Party("Acme & Söhne <GmbH>", ("Hafenstraße 1",), "DE456"),
    lines=(
        line(1, "Input tokens of breakwater-mini-1", "1234.50", "1234567890"),
        line(2, "Plan fee", "20.00"),
    ),
    taxes=(Tax("VAT", D("0.190000"), D("1200.00"), D("228.00")),),
    net=D("1254.50"),
    tax=D("228.00"),
    total=D("1482.50"),
    allowance=D("10.00"),
    promotion=D("44.50"),
    prepaid=D("1000.00"),
    brought_forward=D("-8.00"),
    due=D("420.00"),
    paid=D("100.00"),
    credited=D("20.00"),
    reverse_charge=False,
    instructions=("Account 12345", "Reference BW-2026-000007"),
)


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def test_the_pdf_says_all_that_the_invoice_says() -> None:
    text = text_of(invoice_pdf(VIEW))
    for expected in (
        "Invoice BW-2026-000007", "Acme & Söhne <GmbH>", "Hafenstraße 1", "DE456", "GB123",
        "2026-12-04", "2026-12-18", "1,234,567,890 token", "1,234.50", "20.00", "1,254.50",
        "VAT 19% on 1,200.00", "228.00", "1,482.50", "-10.00", "-44.50", "-1,000.00", "-8.00",
        "420.00 USD", "-100.00", "-20.00", "300.00 USD", "Reference BW-2026-000007",
    ):  # fmt: skip
        assert expected in text, expected
    assert "Reverse charge" not in text


def test_the_pdf_speaks_chinese() -> None:
    chinese = dataclasses.replace(
        VIEW, customer=Party("深圳市星海科技有限公司", ("南山区",), "91440300"), reverse_charge=True
    )
    text = text_of(invoice_pdf(chinese, language="zh-hans"))
    for expected in ("账单 BW-2026-000007", "深圳市星海科技有限公司", "应付金额", "反向征收"):
        assert expected in text, expected
    english = text_of(invoice_pdf(chinese, language="en"))
    assert "深圳市星海科技有限公司" in english
    assert "Reverse charge" in english


USED = LineKey("usage", "tokens", "tokens.input?model=breakwater-mini-1", "bookv_1")
RATED = (
    dataclasses.replace(VIEW.lines[0], key=USED),
    dataclasses.replace(line(2, "late", "1.00", "5"), kind="late", period="2026-10", key=USED),
    dataclasses.replace(VIEW.lines[1], kind="plan_fee", key=LineKey("plan_fee", "plan")),
    dataclasses.replace(line(4, "Prepaid credit", "5.00"), kind="credit"),
    dataclasses.replace(line(5, "Said by hand", "1.00"), kind="other"),
)
SAID = (
    "tokens.input：重新计算的输入词元, breakwater-mini-1",
    "tokens.input：重新计算的输入词元, breakwater-mini-1（2026-10，后计入）",
    "套餐费",
    "预付余额",
    "Said by hand",
)


def test_lines_are_said_in_the_documents_language() -> None:
    view = dataclasses.replace(VIEW, lines=RATED)
    assert tuple(line_said(line, "zh-hans") for line in RATED) == SAID
    assert [line_said(line, "en") for line in RATED] == [line.description for line in RATED]

    text = text_of(invoice_pdf(view, language="zh-hans")).replace("\n", "")
    for expected in (*SAID, "1,234,567,890 词元"):
        assert expected in text, expected
    said = [
        [row["description"] for row in rows_of(invoice_csv(view, language=language))]
        for language in ("zh-hans", "en")
    ]
    assert said[0][:5] == list(SAID)
    assert said[1][:5] == [line.description for line in RATED]


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_every_meter_and_unit_has_chinese_words() -> None:
    assert CHINESE.kinds.keys() == ENGLISH.kinds.keys()
    assert CHINESE.meters.keys() == METERS.keys()
    assert CHINESE.units.keys() == {meter.unit for meter in METERS.values()}


def test_the_same_invoice_is_the_same_file() -> None:
    assert invoice_pdf(VIEW) == invoice_pdf(VIEW)
    assert invoice_pdf(VIEW) != invoice_pdf(dataclasses.replace(VIEW, number="BW-2026-000008"))


def test_many_lines_run_over_pages_with_their_heading() -> None:
    many = tuple(line(n, f"Line number {n}", "1.00") for n in range(1, 121))
    reader = PdfReader(io.BytesIO(invoice_pdf(dataclasses.replace(VIEW, lines=many))))
    pages = [page.extract_text() for page in reader.pages]
    assert len(pages) > 2
    assert all("Description" in page for page in pages[:2])
    assert all(f"Line number {n}\n" in "\n".join(pages) for n in (1, 60, 120))


def test_a_draft_says_so() -> None:
    assert "Invoice Draft" in text_of(invoice_pdf(dataclasses.replace(VIEW, number="")))


def test_the_csv_holds_every_line_and_adds_up() -> None:
    rows = rows_of(invoice_csv(VIEW))
    found = {
        kind: [D(r["amount"]) for r in rows if r["row"] == kind]
        for kind in {r["row"] for r in rows}
    }
    assert found["line"] == [D("1234.50"), D("20.00")]
    assert sum(found["line"]) + sum(found["tax"]) == found["total"][0] == D("1482.50")
    settled = [*found["total"], *found["allowance"], *found["promotion"], *found["prepaid"]]
    assert sum([*settled, *found["brought_forward"]]) == found["due"][0] == D("420.00")
    assert {(r["invoice"], r["currency"]) for r in rows} == {("BW-2026-000007", "USD")}
    assert rows[0]["quantity"] == "1234567890"


def test_the_csv_is_no_spreadsheet_formula() -> None:
    evil = line(1, '=HYPERLINK("http://evil")', "-1.00")
    (row, *_) = csv.DictReader(
        io.StringIO(invoice_csv(dataclasses.replace(VIEW, lines=(evil,))).decode(), newline="")
    )
    assert row["description"].startswith("'=")
    assert row["amount"] == "-1.00"


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [("1234.5", "USD", "1,234.50"), ("-0.001", "USD", "0.00"), ("1234.5", "JPY", "1,234")],
)
def test_amounts(value: str, currency: str, expected: str) -> None:
    assert amount(D(value), currency) == expected


def test_quantities_and_rates() -> None:
    assert (quantity(D("1200.500000")), quantity(D("1200")), quantity(None)) == (
        "1,200.5",
        "1,200",
        "",
    )
    assert (percent(D("0.190000")), percent(D("0.0725"))) == ("19%", "7.25%")
