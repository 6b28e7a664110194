"""What an invoice's document shows, apart from how: filled by selectors, read by PDF and CSV."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from tenants.billing.stating import LineKey


@dataclass(frozen=True)
class Party:
    """A seller or a customer. `address` has one line an entry."""

    name: str
    address: tuple[str, ...] = ()
    tax_id: str = ""
    email: str = ""


@dataclass(frozen=True)
class Line:
    """`net` in minor units; `quantity` is None where a line counts nothing."""

    position: int
    kind: str
    description: str
    period: str  # 2026-11
    quantity: Decimal | None
    unit: str
    exact: Decimal
    net: Decimal
    meter: str = ""
    price_key: str = ""
    revenue: str = ""
    price_version: str = ""
    key: LineKey | None = None  # what it is for; None where nothing was rated


@dataclass(frozen=True)
class Tax:
    name: str
    rate: Decimal
    base: Decimal
    amount: Decimal


@dataclass(frozen=True)
class InvoiceView:
    """All that stands on the document. Amounts in minor units of `currency`."""

    number: str  # empty: a draft
    state: str
    currency: str
    period: str
    issued_on: dt.date | None
    due_on: dt.date | None
    seller: Party
    customer: Party
    lines: tuple[Line, ...]
    taxes: tuple[Tax, ...]
    net: Decimal
    tax: Decimal
    total: Decimal
    allowance: Decimal
    promotion: Decimal
    prepaid: Decimal
    brought_forward: Decimal
    due: Decimal
    paid: Decimal
    credited: Decimal
    reverse_charge: bool
    instructions: tuple[str, ...] = ()  # how to pay

    @property
    def remaining(self) -> Decimal:
        return self.due - self.paid - self.credited
