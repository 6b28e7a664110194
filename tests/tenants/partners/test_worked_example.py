"""The example of docs/partners.md, lived through: each step's balances are what the page says."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.ledger.chart import AccountKind, GrantKind
from tenants.ledger.selectors import unbalanced
from tenants.ledger.services import (
    NewPosting,
    share_release,
    share_take_back,
    transaction_post,
)
from tests.architecture.sources import ROOT
from tests.tenants.partners.factories import PLUGIN, partner_make, plugin_priced, standing
from tests.tenants.pricing.books import charge, credit_give, item, tenant_make

pytestmark = pytest.mark.django_db
D = Decimal

TERMS = {
    "currency": "USD",
    "hold_days": 0,
    "lines": {
        "plugins": {"tiers": [{"up_to": "100", "share": "0.7"}, {"up_to": None, "share": "0.8"}]}
    },
    "promotion": "both",
    "fee": "partner",
    "fee_rate": "0.03",
    "cost_share": "0.5",
    "cost_cap": "10",
}


def told() -> list[list[Decimal]]:
    """The balances that the page tells, step by step: pending, available, paid, owed."""
    lines = (ROOT / "docs" / "partners.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [[D(cell) for cell in row[2:]] for row in rows if len(row) == 6 and row[0].isdigit()]


def test_the_worked_example() -> None:
    partner = partner_make(TERMS)
    plugin_priced()
    customer = tenant_make(credit="500")
    with system_scope():
        credit_give(customer, "20", kind=GrantKind.PROMOTION)
    found: list[list[Decimal]] = []

    def sold(job: str, quantity: str, cost: str = "0") -> str:
        made = item("plugin.units", quantity)
        units = type(made)(made.meter, made.quantity, {"plugin": PLUGIN}, made.event_time)
        charged = charge(customer, job, units, cost=D(cost), subject_kind="job", subject_id=job)
        return charged.transaction_id

    def release() -> None:
        with system_scope():
            share_release(tenant_id=partner, currency="USD", key=f"release{len(found)}")

    def stands() -> None:
        books = standing(partner)
        found.append([books["pending"], books["available"], books["paid"], -books["receivable"]])

    sold("one", "50", "4")
    stands()
    sold("two", "100", "20")
    stands()
    release()
    stands()
    paid = Money.of("82.10", "USD")
    with system_scope():
        transaction_post(
            tenant_id=partner,
            key="payout",
            kind="partner_payout",
            postings=[
                NewPosting(AccountKind.PARTNER_AVAILABLE, paid, tenant_id=partner),
                NewPosting(AccountKind.PARTNER_PAID, -paid, tenant_id=partner),
            ],
        )
    stands()
    charge(
        customer,
        "waived",
        waive="the job failed",
        occurred_at=dt.datetime.now(dt.UTC),
        subject_kind="job",
        subject_id="one",
    )
    stands()
    sold("three", "20")
    stands()
    release()
    stands()
    disputed = sold("four", "10")
    stands()
    with system_scope():
        share_take_back(
            tenant_id=customer,
            currency="USD",
            key="dispute",
            wishes=[{"transaction": disputed, "cause": "dispute"}],
        )
    stands()
    with system_scope():
        share_take_back(tenant_id=customer, currency="USD", key="won", renews="dispute")
    stands()
    assert found == told()
    assert len(found) == 10
    with system_scope():
        assert unbalanced() == []
