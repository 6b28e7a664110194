"""Partners' shares follow the money that a statement finds, and that a credit note gives back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.billing.models import Invoice, InvoiceLine
from tenants.billing.periods import Period
from tenants.billing.services.credit_notes import credit_note_issue
from tenants.billing.services.statements import statements_advance
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tenants.ledger.selectors import unbalanced
from tests.tenants.billing.factories import operator_of
from tests.tenants.partners.factories import (
    PLUGIN,
    SEVENTY,
    partner_make,
    plugin_priced,
    standing,
)
from tests.tenants.pricing.books import charge, count, item, tenant_make

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture
def partner() -> str:
    made = partner_make(SEVENTY)
    plugin_priced()
    return made


def sold(customer: str, quantity: str) -> None:
    """Recorded and charged at once, as a job does."""
    made = item("plugin.units", quantity)
    units = type(made)(made.meter, made.quantity, {"plugin": PLUGIN}, made.event_time)
    count(customer, "plugin.units", quantity, source="jobs", plugin=PLUGIN, at=made.event_time)
    charge(customer, f"job{quantity}", units)


def invoiced(customer: str) -> tuple[Invoice, InvoiceLine]:
    """The month's invoice, made when it is over, and its line of plugins."""
    statements_advance(now=Period.of(now()).end + dt.timedelta(days=4), tenant_id=customer)
    with system_scope():
        invoice = Invoice.objects.get(tenant_id=customer)
        return invoice, InvoiceLine.objects.get(invoice=invoice, meter="plugin.units")


def credited(invoice: Invoice, line: InvoiceLine, net: str, key: str) -> None:
    with system_scope():
        credit_note_issue(
            actor=operator_of(invoice.tenant_id),
            invoice_id=invoice.id,
            key=key,
            reason="a complaint",
            to="wallet",
            lines={line.id: D(net)},
        )


def test_a_credit_note_takes_its_part_of_the_share_back_once(partner: str) -> None:
    customer = tenant_make(credit="100")
    sold(customer, "10")
    invoice, line = invoiced(customer)
    assert standing(partner)["pending"] == 7
    for _ in range(2):
        credited(invoice, line, "4", "first")
    assert standing(partner)["pending"] == D("4.2")
    credited(invoice, line, "6", "second")
    assert standing(partner)["pending"] == 0
    with system_scope():
        assert unbalanced() == []


def test_what_only_the_statement_charges_is_shared_too(partner: str) -> None:
    customer = tenant_make(credit="100")
    sold(customer, "10")
    count(customer, "plugin.units", "5", source="external", plugin=PLUGIN)
    _, line = invoiced(customer)
    assert line.net == 15
    assert standing(partner)["pending"] == D("10.5")
