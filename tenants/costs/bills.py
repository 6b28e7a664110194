"""A supplier's bill against our own entries: read from CSV, compared to the cent. Pure.

Columns: `resource`, `amount`, `currency`, and `quantity` where the supplier counts the same units.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from tenants.costs.defaults import CURRENCY
from tenants.kernel.errors import InvalidInput

CENT = Decimal("0.01")
NEEDED = {"resource", "amount", "currency"}


@dataclass(frozen=True)
class BillLine:
    """What a supplier bills for a resource in the period; its quantity where that is told."""

    resource: str
    amount: Decimal
    quantity: Decimal | None = None


@dataclass(frozen=True)
class Reconciled:
    """One resource, in cents: what was billed, what our entries say, and what is missing of it.

    `quantity_off` is the billed quantity less our own, where both are known.
    """

    resource: str
    billed: Decimal
    booked: Decimal
    quantity_off: Decimal | None

    @property
    def difference(self) -> Decimal:
        """Positive where more was billed than booked."""
        return self.billed - self.booked

    @property
    def agrees(self) -> bool:
        return self.difference == 0


def bill_read(lines: Iterable[str]) -> list[BillLine]:
    """Read a bill's CSV. Raises InvalidInput, naming the line and what is wrong with it."""
    reader = csv.DictReader(lines)
    if missing := NEEDED - set(reader.fieldnames or ()):
        raise InvalidInput(f"a bill has the columns {', '.join(sorted(missing))}", param="bill")
    return [_line(number, row) for number, row in enumerate(reader, start=2)]


def reconcile(
    bill: Iterable[BillLine], booked: Mapping[str, tuple[Decimal, Decimal]]
) -> list[Reconciled]:
    """Compare a bill with our (amount, quantity) by resource. Both are rounded once, at the end.

    A resource that only one side knows is compared with nothing.
    """
    amounts: dict[str, Decimal] = {}
    quantities: dict[str, Decimal | None] = {}
    for line in bill:
        amounts[line.resource] = amounts.get(line.resource, Decimal(0)) + line.amount
        before = quantities.get(line.resource, Decimal(0))
        known = line.quantity is not None and before is not None
        quantities[line.resource] = before + line.quantity if known else None  # type: ignore[operator]
    found = []
    for resource in sorted(amounts.keys() | booked.keys()):
        amount, quantity = booked.get(resource, (Decimal(0), Decimal(0)))
        told = quantities.get(resource)
        found.append(
            Reconciled(
                resource=resource,
                billed=_cents(amounts.get(resource, Decimal(0))),
                booked=_cents(amount),
                quantity_off=None if told is None else told - quantity,
            )
        )
    return found


def _line(number: int, row: Mapping[str, str | None]) -> BillLine:
    where = f"line {number} of the bill"
    if (currency := (row["currency"] or "").strip()) != CURRENCY:
        raise InvalidInput(
            f"{where} is in {currency or 'no currency'}; costs are kept in {CURRENCY}",
            param="currency",
        )
    if not (resource := (row["resource"] or "").strip()):
        raise InvalidInput(f"{where} names no resource", param="resource")
    quantity = (row.get("quantity") or "").strip()
    return BillLine(
        resource=resource,
        amount=_number(row["amount"], f"the amount in {where}", "amount"),
        quantity=_number(quantity, f"the quantity in {where}", "quantity") if quantity else None,
    )


def _number(text: str | None, what: str, param: str) -> Decimal:
    try:
        value = Decimal((text or "").strip())
    except InvalidOperation:
        raise InvalidInput(f"{what} is no number: {text!r}", param=param) from None
    if not value.is_finite() or value < 0:
        raise InvalidInput(f"{what} is at least 0, not {text}", param=param)
    return value


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_EVEN)
