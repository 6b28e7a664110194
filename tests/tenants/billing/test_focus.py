"""FOCUS 1.2: every column, no forbidden null, allowed values, and rows that sum to what is due."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any

import pytest

from tenants.billing.focus.columns import COLUMNS, FOCUS_1_2
from tenants.billing.focus.rows import Account, focus_csv, invoice_rows
from tenants.pricing.charge_models import UnitPrice
from tests.tenants.billing.test_documents import VIEW, line

D = Decimal
ACME = Account("ten_1", "Acme")
ALLOWED = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {"", "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"", "Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {"AI and Machine Learning"},
    "ServiceSubcategory": {
        "Generative AI", "Machine Learning", "Other (AI and Machine Learning)",
    },
}  # fmt: skip
PRICED = dataclasses.replace(
    line(5, "Plain", "0.00", "250"), exact=D("0.0045"), price_key="plain", price_version="v"
)
PRICES = {("v", "plain"): UnitPrice(D("0.00002"), "USD")}  # and a discount of a tenth
INVOICE = dataclasses.replace(
    VIEW,
    lines=(
        dataclasses.replace(VIEW.lines[0], price_key="tokens.input", revenue="tokens"),
        dataclasses.replace(line(2, "Plan fee", "20.00"), kind="plan_fee"),
        dataclasses.replace(line(3, "=late", "1.00", "5"), period="2026-10", price_key="k"),
        dataclasses.replace(line(4, "Quote kept", "-1.00"), kind="quote_cap"),
        PRICED,
    ),
)


def rows() -> list[dict[str, str]]:
    text = focus_csv(invoice_rows(INVOICE, ACME, PRICES)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_columns_are_those_of_the_specification() -> None:
    assert len(FOCUS_1_2) == 57
    assert [c.name for c in FOCUS_1_2] == sorted(c.name for c in FOCUS_1_2)
    assert list(rows()[0]) == [c.name for c in COLUMNS]


def test_values_are_among_the_allowed_and_well_formed() -> None:
    for row in rows():
        for name, allowed in ALLOWED.items():
            assert row[name] in allowed, name
        for column in COLUMNS:
            value = row[column.name]
            assert value or column.nullable, column.name
            if column.kind == "Date/Time":
                assert dt.datetime.fromisoformat(value).utcoffset() == dt.timedelta(0)
            if column.kind == "Decimal" and value:
                assert D(value).is_finite()
            if column.kind == "JSON" and value:
                assert json.loads(value)


def test_rules_between_columns() -> None:
    for row in rows():
        category = row["ChargeCategory"]
        assert bool(row["ConsumedQuantity"]) == bool(row["ConsumedUnit"])
        if category == "Tax":
            assert not row["SkuId"]
            assert not row["PricingCategory"]
            assert not row["PricingQuantity"]
        if category in {"Usage", "Purchase"}:
            assert row["SkuId"]
            assert row["PricingQuantity"]
            assert row["PricingCategory"]
        if category == "Purchase":
            assert row["ChargeFrequency"] != "Usage-Based"


def test_a_units_price_is_told_where_every_unit_cost_the_same() -> None:
    plain = next(row for row in rows() if row["SkuId"] == "plain")
    found = {name: D(plain[name]) for name in plain if name.endswith(("UnitPrice", "Cost"))}
    assert found == {
        "BilledCost": 0,
        "EffectiveCost": 0,
        "PricingCurrencyEffectiveCost": 0,
        "ListUnitPrice": D("0.00002"),
        "ListCost": D("0.005"),
        "ContractedUnitPrice": D("0.000018"),
        "ContractedCost": D("0.0045"),
        "PricingCurrencyListUnitPrice": D("0.00002"),
        "PricingCurrencyContractedUnitPrice": D("0.000018"),
    }


@pytest.mark.parametrize(
    ("changed", "currency"),
    [({"exact": D("0.001")}, "USD"), ({}, "EUR"), ({"price_version": "other"}, "USD")],
)
def test_and_is_not_told_otherwise(changed: dict[str, Any], currency: str) -> None:
    line_ = dataclasses.replace(PRICED, quantity=D(300), **{"exact": D("0.0054"), **changed})
    prices = {("v", "plain"): UnitPrice(D("0.00002"), currency)}
    (row, *_) = invoice_rows(dataclasses.replace(INVOICE, lines=(line_,)), ACME, prices)
    assert "ListUnitPrice" not in row
    assert row["ListCost"] == row["ContractedCost"] == line_.net


def test_unit_prices_times_quantities_are_costs() -> None:
    told = [row for row in rows() if row["ListUnitPrice"]]
    assert {row["ChargeCategory"] for row in told} == {"Usage", "Purchase"}
    for row in told:
        for kind in ("List", "Contracted"):
            unit, cost = D(row[f"{kind}UnitPrice"]), D(row[f"{kind}Cost"])
            assert unit * D(row["PricingQuantity"]) == cost


def test_what_came_late_is_a_correction_in_its_own_period() -> None:
    late = next(row for row in rows() if row["ChargeDescription"] == "'=late")
    assert late["ChargeClass"] == "Correction"
    assert late["ChargePeriodStart"] == "2026-10-01T00:00:00Z"
    assert late["BillingPeriodStart"] == "2026-11-01T00:00:00Z"


def test_the_rows_of_an_invoice_sum_to_what_is_due() -> None:
    assert sum(D(row["BilledCost"]) for row in rows()) == VIEW.due
    assert {row["InvoiceId"] for row in rows()} == {VIEW.number}


def test_a_forbidden_null_is_refused() -> None:
    row = {**next(invoice_rows(INVOICE, ACME, PRICES)), "BilledCost": None}
    with pytest.raises(ValueError, match="BilledCost is never null"):
        focus_csv([row])
