"""Invoices, and the running period, as rows of FOCUS. Pure.

The rows of one `InvoiceId` sum, by `BilledCost`, to the amount due: its lines, its taxes, and below
zero what credit paid.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from tenants.billing.documents.invoice_csv import safe_cell
from tenants.billing.documents.view import InvoiceView, Line
from tenants.billing.focus.columns import COLUMNS, Kind
from tenants.billing.periods import Period
from tenants.pricing.charge_models import UnitPrice
from tenants.pricing.exact import EXACT, quotient

Row = dict[str, Any]
Prices = Mapping[tuple[str, str], UnitPrice]  # by price version and price key
ZERO = Decimal(0)
_CREDIT = (
    ("allowance", "Paid from the plan's allowance"),
    ("promotion", "Paid from promotional credit"),
    ("prepaid", "Paid from prepaid credit"),
)
_SUBCATEGORIES = {"training": "Machine Learning", "evaluation": "Machine Learning"}
_PURCHASES = {"plan_fee": "Recurring", "true_up": "Recurring", "credit": "One-Time"}


@dataclass(frozen=True)
class Account:
    """The tenant, as its provider knows it."""

    id: str
    name: str


def invoice_rows(view: InvoiceView, account: Account, prices: Prices) -> Iterator[Row]:
    """Return the rows of one invoice, or of a running period (`number` is empty).

    `prices` are those of which each unit costs the same: the others' rows name no unit price.
    """
    same = _same(view, account)
    for line in view.lines:
        yield same | _line(line, view) | _unit_priced(line, view, prices)
    for tax in view.taxes:
        yield (
            same
            | _money(tax.amount)
            | {
                "ChargeCategory": "Tax",
                "ChargeDescription": f"{tax.name} {tax.rate.normalize():f} on {tax.base:f}",
                "ChargeFrequency": "One-Time",
            }
        )
    for name, description in _CREDIT:
        if amount := getattr(view, name):
            yield same | _credit(-amount, description)
    if view.brought_forward:
        yield same | _credit(view.brought_forward, "Brought forward")


def focus_csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return UTF-8 CSV with every column of `COLUMNS`; a null is an empty cell.

    Raises ValueError for a row that FOCUS does not allow.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([column.name for column in COLUMNS])
    for row in rows:
        writer.writerow([_cell(column.name, row) for column in COLUMNS])
    return out.getvalue().encode()


_KINDS = {column.name: column for column in COLUMNS}


def _cell(name: str, row: Mapping[str, Any]) -> str:
    value, column = row.get(name), _KINDS[name]
    if value is None:
        if not column.nullable:
            raise ValueError(f"{name} is never null")
        return ""
    if column.kind is Kind.DECIMAL:
        return f"{value:f}"
    if column.kind is Kind.DATE_TIME:
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if column.kind is Kind.JSON:
        return json.dumps(value, sort_keys=True)
    return safe_cell(str(value))


def _same(view: InvoiceView, account: Account) -> Row:
    """What all rows of an invoice share."""
    period = Period.parse(view.period)
    issuer = view.seller.name
    return {
        "BillingAccountId": account.id,
        "BillingAccountName": account.name,
        "BillingAccountType": "Organisation",
        "BillingCurrency": view.currency,
        "BillingPeriodStart": period.start,
        "BillingPeriodEnd": period.end,
        "ChargePeriodStart": period.start,
        "ChargePeriodEnd": period.end,
        "InvoiceId": view.number or None,
        "InvoiceIssuerName": issuer,
        "ProviderName": issuer,
        "PublisherName": issuer,
        "ServiceProviderName": issuer,
        "PricingCurrency": view.currency,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": issuer,
        "ServiceSubcategory": "Other (AI and Machine Learning)",
    }


def _line(line: Line, view: InvoiceView) -> Row:
    period = Period.parse(line.period)
    row = _money(line.net) | {
        "ChargeDescription": line.description,
        "ChargePeriodStart": period.start,
        "ChargePeriodEnd": period.end,
        "ServiceSubcategory": _SUBCATEGORIES.get(line.revenue, "Generative AI"),
        "ChargeClass": "Correction" if line.period != view.period else None,
    }
    if line.quantity is None:
        if line.kind in _PURCHASES:
            return row | _purchase(line)
        return row | {"ChargeCategory": "Adjustment", "ChargeFrequency": "One-Time"}
    return row | {
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ConsumedQuantity": line.quantity,
        "ConsumedUnit": line.unit,
        "PricingCategory": "Standard",
        "PricingQuantity": line.quantity,
        "PricingUnit": line.unit,
        "SkuId": line.price_key,
        "SkuMeter": line.meter,
        "SkuPriceId": f"{line.price_version}:{line.price_key}",
    }


def _unit_priced(line: Line, view: InvoiceView, prices: Prices) -> Row:
    """List and contracted price of a unit, and what the line's units come to at each, exactly."""
    listed = prices.get((line.price_version, line.price_key))
    if not line.quantity or listed is None or listed.currency != view.currency:
        return {}
    with localcontext(EXACT):
        contracted = quotient(line.exact, line.quantity)
        if contracted * line.quantity != line.exact:
            return {}  # its units did not all cost the same after all: a discount changed
        return {
            "ListUnitPrice": listed.amount,
            "ListCost": listed.amount * line.quantity,
            "ContractedUnitPrice": contracted,
            "ContractedCost": line.exact,
            "PricingCurrencyListUnitPrice": listed.amount,
            "PricingCurrencyContractedUnitPrice": contracted,
        }


def _purchase(line: Line) -> Row:
    return {
        "ChargeCategory": "Purchase",
        "ChargeFrequency": _PURCHASES[line.kind],
        "PricingCategory": "Standard",
        "PricingQuantity": Decimal(1),
        "ListUnitPrice": line.net,
        "ContractedUnitPrice": line.net,
        "PricingCurrencyListUnitPrice": line.net,
        "PricingCurrencyContractedUnitPrice": line.net,
        "PricingUnit": "Month" if line.kind != "credit" else "Unit",
        "SkuId": line.kind,
        "SkuPriceId": f"{line.price_version}:{line.kind}",
    }


def _credit(amount: Decimal, description: str) -> Row:
    return _money(amount) | {
        "ChargeCategory": "Credit",
        "ChargeDescription": description,
        "ChargeFrequency": "One-Time",
    }


def _money(amount: Decimal) -> Row:
    """One amount for every cost, where no unit price tells list and contracted cost apart."""
    return {
        "BilledCost": amount,
        "ContractedCost": amount,
        "EffectiveCost": amount,
        "ListCost": amount,
        "PricingCurrencyEffectiveCost": amount,
    }
