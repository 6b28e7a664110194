"""Random histories: whatever happens in whatever order, the books balance, invoices are the sum of
their lines, rating again gives the same bytes, and every unit is billed once.

After each step the invariants that always hold are checked; at the end all months are made final,
and the sums are compared.
"""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum
from hypothesis import HealthCheck, Phase, given, settings

from tenants.billing.models import Invoice, InvoiceLine, Statement
from tenants.billing.services.statements import statement_rerate
from tenants.billing.states import InvoiceState, StatementState
from tenants.billing.stating import stated_from_json
from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.models import CreditGrant, Wallet
from tenants.ledger.selectors import unbalanced
from tenants.usage.models import UsageEvent
from tests.tenants.billing.factories import MARCH, book, contract, customer, operator_of
from tests.tenants.billing.histories import MODELS, History, Step, histories

pytestmark = pytest.mark.django_db
ZERO = Decimal(0)

LIFE = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": (Phase.explicit, Phase.generate),  # a failure is told at once, unshrunk
}


@settings(max_examples=30, **LIFE)
@given(histories(16))
def test_histories(history: tuple[int, bool, list[Step]]) -> None:
    live(*history)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=int(os.environ.get("LONG_HISTORIES", "8")), **LIFE)  # about 1.3 s each
@given(histories(60))
def test_long_histories(history: tuple[int, bool, list[Step]]) -> None:
    live(*history)


def live(model: int, taxed: bool, steps_: list[Step]) -> None:
    book_id = book(dict(MODELS[model]))
    tenant_id = customer()
    contract(tenant_id, MARCH.start, book_id=book_id)
    history = History(tenant_id, book_id)
    if taxed:
        history.tax(reverse_charge=False)
    for step in steps_:
        history.tick()
        step(history)
        with system_scope():
            check_books(tenant_id)
    history.finish()
    with system_scope():
        check_books(tenant_id)
        check_invoices(tenant_id)
        check_statements(history)
        check_receivable(tenant_id)


def check_books(tenant_id: str) -> None:
    """The ledger balances per currency; no wallet, grant or debt is below zero."""
    assert list(unbalanced()) == []
    assert list(projections_wrong()) == []
    for grant in CreditGrant.objects.filter(tenant_id=tenant_id):
        assert 0 <= grant.held <= grant.remaining <= grant.amount
    for wallet in Wallet.objects.filter(tenant_id=tenant_id):
        assert wallet.receivable >= 0


def check_invoices(tenant_id: str) -> None:
    """Each is the sum of its lines, in cents, and says where every cent went."""
    for invoice in Invoice.objects.filter(tenant_id=tenant_id).exclude(state=InvoiceState.DRAFT):
        lines = InvoiceLine.objects.filter(invoice=invoice).aggregate(net=Sum("net"))
        assert (lines["net"] or ZERO) == invoice.net
        assert invoice.net + invoice.tax == invoice.total
        credit = invoice.allowance + invoice.promotion + invoice.prepaid
        assert invoice.total - credit + invoice.brought_forward == invoice.due
        assert 0 <= invoice.remaining <= invoice.due
        for amount in (invoice.net, invoice.due, invoice.prepaid, invoice.promotion):
            assert amount == round(amount, 2)


def check_statements(history: History) -> None:
    """Rating again is the same to the byte; every unit is stated once, and all money with it."""
    statements = list(Statement.objects.filter(tenant_id=history.tenant_id).order_by("period"))
    assert {statement.state for statement in statements[:-1]} <= {StatementState.FINAL}
    final = [s for s in statements if s.state == StatementState.FINAL]
    for statement in final:
        text = statement_rerate(actor=operator_of(history.tenant_id), statement_id=statement.id)
        assert text.decode() == statement.rated
    events = UsageEvent.objects.filter(tenant_id=history.tenant_id)
    total = events.aggregate(total=Sum("quantity"))["total"] or ZERO
    assert total == sum(event.quantity for event in history.events)
    stated: dict[dt.date, Any] = {}  # each month as the last statement that looked at it has it
    for statement in final:
        stated |= stated_from_json(statement.charged["lines"])
    parts = [(key, part) for lines in stated.values() for key, part in lines.items()]
    assert sum(part.quantity for key, part in parts if key.kind == "usage") == total
    billed = InvoiceLine.objects.filter(tenant_id=history.tenant_id).aggregate(all=Sum("exact"))
    assert (billed["all"] or ZERO) == sum((part.exact for _, part in parts), ZERO)


def check_receivable(tenant_id: str) -> None:
    """What is owed is what open invoices say, less what went back off a debt and is still carried.

    Only a month of which nothing is due carries anything on. Cents, and what they were rounded by.
    """
    wallet = Wallet.objects.filter(tenant_id=tenant_id).first()
    if wallet is None:
        return
    invoices = Invoice.objects.filter(tenant_id=tenant_id)
    carried = -sum((invoice.brought_forward for invoice in invoices), ZERO)
    owed = sum((i.remaining for i in invoices if i.state == InvoiceState.OPEN), ZERO)
    assert abs(wallet.receivable - owed - carried) <= Decimal("0.01")
    assert carried <= 0
    for invoice in invoices:
        assert invoice.brought_forward <= 0 or invoice.due == 0
