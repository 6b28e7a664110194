"""The bookkeeper's example of docs/billing.md, run: every posting that it shows is made."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

import pytest

from tenants.billing.models import Invoice, InvoiceLine, InvoiceTax
from tenants.billing.services.bank_transfers import bank_transfers_import
from tenants.billing.services.credit_notes import credit_note_issue
from tenants.billing.services.statements import statements_advance
from tenants.billing.services.tax import NewProfile, tax_profile_set, tax_rate_set, taxes_apply
from tenants.kernel.scope import system_scope
from tenants.ledger.chart import GrantKind
from tenants.ledger.models import CreditGrant, LedgerPosting, LedgerTransaction
from tests.architecture.sources import ROOT
from tests.tenants.billing.factories import (
    APRIL,
    MARCH,
    book,
    contract,
    customer,
    granted,
    invoice_of,
    on,
    operator_of,
    used,
)

pytestmark = pytest.mark.django_db
D = Decimal
PAGE = ROOT / "docs" / "billing.md"
TOKENS = {
    "model": "graduated",
    "per": "1000000",
    "tiers": [{"up_to": "50000000", "unit": "0.60"}, {"up_to": None, "unit": "0.45"}],
}
Posting = tuple[int, str, Decimal]  # step, account, amount (debit positive)


def documented(heading: str) -> list[list[str]]:
    """The rows of the table under a heading of the page."""
    section = PAGE.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if re.match(r"\| *\d+ *\|", line)]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def documented_postings() -> list[Posting]:
    found = []
    for step, account, debit, credit in documented("Every posting"):
        found.append((int(step), account, D(debit or 0) - D(credit or 0)))
    return found


def tell() -> str:
    """Live through the example; return the tenant."""
    tenant_id = customer()
    contract(tenant_id, MARCH.start, book_id=book(TOKENS), plan_fee=D(50), allowance=D(10))
    operator = operator_of(tenant_id)
    with system_scope():
        tax_rate_set(
            actor=operator, jurisdiction="DE", name="USt", rate=D("0.19"), valid_from=MARCH.start
        )
        tax_profile_set(actor=operator, profile=NewProfile(country="DE"))
    granted(tenant_id, "15", GrantKind.PROMOTION)
    granted(tenant_id, "10", GrantKind.ALLOWANCE)
    taxes_apply()
    used(tenant_id, "first", 40_000_000, on(MARCH, 5))
    used(tenant_id, "second", 30_123_456, on(MARCH, 20))
    granted(tenant_id, "10", GrantKind.ALLOWANCE)  # April's, before March is stated
    statements_advance(now=MARCH.end + dt.timedelta(days=3), tenant_id=tenant_id)
    march = invoice_of(tenant_id, MARCH)
    transfer = f"2026-04-08,76.23,USD,{march.number},Hafenwerk,B1"
    with system_scope():
        content = f"date,amount,currency,reference,payer,bank_id\n{transfer}\n"
        bank_transfers_import(actor=operator, content=content.encode())
        line = InvoiceLine.objects.get(invoice=march, kind="usage")
        credit_note_issue(
            actor=operator,
            invoice_id=march.id,
            key="complaint",
            reason="slow answers on 20 March",
            to="payer",
            lines={line.id: D("10.00")},
            now=on(APRIL, 9),
        )
    used(tenant_id, "late", 1_000_000, on(MARCH, 31))
    used(tenant_id, "third", 20_000_000, on(APRIL, 20))
    statements_advance(now=APRIL.end + dt.timedelta(days=3), tenant_id=tenant_id)
    return tenant_id


def made(tenant_id: str) -> list[Posting]:
    """The example's postings, each grant by its kind and number."""
    with system_scope():
        grants = CreditGrant.objects.filter(tenant_id=tenant_id).order_by("created_at", "id")
        names: dict[str, str] = {}
        for grant in grants:
            number = 1 + sum(name.startswith(grant.kind) for name in names.values())
            names[grant.id] = f"{grant.kind} {number}"
        transactions = list(LedgerTransaction.objects.filter(tenant_id=tenant_id))
        rows = LedgerPosting.objects.filter(transaction__in=transactions).select_related("account")
        steps: dict[str, int] = {}
        found = []
        for row in rows.order_by("id"):
            step = steps.setdefault(row.transaction_id, len(steps) + 1)
            ref = names.get(row.account.ref, row.account.ref)
            found.append((step, f"{row.account.kind} {ref}".strip(), row.amount))
        return found


@pytest.fixture
def told(_django_db_helper: None) -> str:
    return tell()


def test_every_posting_is_the_documented_one(told: str) -> None:
    assert made(told) == documented_postings()


def test_the_documented_postings_balance_step_by_step() -> None:
    sums: dict[int, Decimal] = {}
    for step, _, amount in documented_postings():
        sums[step] = sums.get(step, D(0)) + amount
    assert set(sums.values()) == {0}
    assert list(sums) == list(range(1, len(sums) + 1))


@pytest.mark.parametrize(
    ("heading", "period"), [("The invoice of March", MARCH), ("The invoice of April", APRIL)]
)
def test_both_invoices_are_the_documented_ones(told: str, heading: str, period: object) -> None:
    with system_scope():
        invoice = Invoice.objects.get(tenant_id=told, period=period.month)  # type: ignore[attr-defined]
        lines = InvoiceLine.objects.filter(invoice=invoice).order_by("position")
        tax = InvoiceTax.objects.get(invoice=invoice)
        found = [(line.kind, line.exact, line.net) for line in lines]
        found.append(("tax", tax.base * tax.rate, tax.amount))
        found += [
            (name, getattr(invoice, name), getattr(invoice, name))
            for name in ("total", "allowance", "promotion", "prepaid", "due")
        ]
    expected = [(row[1], D(row[2]), D(row[3])) for row in documented(heading)]
    assert found == expected


def test_the_books_end_where_the_page_says(told: str) -> None:
    balances: dict[str, Decimal] = {}
    for _, account, amount in made(told):
        balances[account] = balances.get(account, D(0)) + amount
    expected = {row[1]: D(row[2]) for row in documented("Where the books end")}
    assert {account: amount for account, amount in balances.items() if amount} == expected
