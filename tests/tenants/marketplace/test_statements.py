"""Partners' months and payouts: each share stated once, minimums topped up, paid once and told."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from tenants.billing.periods import Period
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput, PermissionDenied
from tenants.kernel.scope import system_scope
from tenants.ledger.selectors import ledger_balances, unbalanced
from tenants.ledger.services import share_take_back
from tenants.marketplace.models import PartnerStatement, Payout
from tenants.marketplace.services.payouts import payout_confirm, payout_order
from tenants.marketplace.services.statements import partner_state, partners_advance
from tests.tenants.accounts.factories import owner_of, tenant_make
from tests.tenants.billing.factories import operator_of
from tests.tenants.partners.factories import (
    PLUGIN,
    SELLER,
    agree,
    partner_make,
    plugin_priced,
    standing,
)
from tests.tenants.pricing.books import charge, item
from tests.tenants.pricing.books import tenant_make as customer_make

pytestmark = pytest.mark.django_db
D = Decimal
LINE = {"share": "0.7"}


def terms(hold_days: int = 0, **fields: Any) -> dict[str, Any]:
    return {"currency": "USD", "hold_days": hold_days, "lines": {"plugins": LINE}, **fields}


def sold(quantity: str, *, customer: str = "", **fields: Any) -> str:
    customer = customer or customer_make(credit="1000")
    made = item("plugin.units", quantity)
    units = type(made)(made.meter, made.quantity, {"plugin": PLUGIN}, made.event_time)
    charge(customer, f"job{quantity}", units, **fields)
    return customer


def next_month() -> dt.datetime:
    return Period.of(now()).end + dt.timedelta(days=4)


def paid(partner: str, key: str = "first", **options: Any) -> Payout:
    with system_scope():
        return payout_order(actor=operator_of(partner), currency="USD", key=key, **options)


def test_a_month_is_stated_once_and_adds_up() -> None:
    partner = partner_make(terms(cost_share="0.5"))
    plugin_priced()
    customer = sold("10", cost=D(2))
    with system_scope():
        share_take_back(
            tenant_id=customer,
            currency="USD",
            key="back",
            wishes=[{"seller": SELLER, "net": "4"}],
        )
    assert partners_advance(now=next_month()) == 1
    assert partners_advance(now=next_month()) == 0
    with system_scope():
        row = PartnerStatement.objects.get(tenant_id=partner)
    assert (row.sales, row.share, row.cost, row.returns) == (10, 7, 1, D("-2.4"))
    total = row.share - row.cost + row.returns + row.minimum
    assert total == sum(standing(partner).values()) == D("3.6")


def test_a_minimum_is_topped_up_where_the_agreement_held_all_month() -> None:
    partner = partner_make()
    plugin_priced()
    month = Period.of(now())
    line = {"plugins": {**LINE, "minimum": "100"}}
    since = month.start - dt.timedelta(days=1)
    agree(partner, terms(lines=line), starts=since)
    sold("10")
    with system_scope():
        made = partner_state(tenant_id=partner, period=month, currency="USD")
        assert made is not None
        assert (made.share, made.minimum) == (7, 93)
        assert partner_state(tenant_id=partner, period=month, currency="USD") is None
        assert unbalanced() == []
    assert standing(partner)["pending"] == 100


def test_a_payout_waits_for_the_hold_period_and_for_the_least_amount() -> None:
    partner = partner_make(terms(hold_days=30))
    plugin_priced()
    sold("10")
    with pytest.raises(Conflict, match=r"0\.00 USD is available"):
        paid(partner)
    agree(partner, terms(payout_minimum="50"))
    sold("20")
    with pytest.raises(Conflict, match=r"14\.00 USD is available; a payout is of at least 50"):
        paid(partner)
    assert standing(partner)["pending"] == 21


def test_a_payout_is_ordered_and_confirmed_once_for_its_key() -> None:
    partner = partner_make(terms())
    plugin_priced()
    sold("10")
    first = paid(partner)
    assert paid(partner).id == first.id
    with pytest.raises(Conflict, match="this key stands for"):
        paid(partner, payer="stripe")
    with system_scope():
        for _ in range(2):
            row = payout_confirm(actor=operator_of(partner), payout_id=first.id, reference="bank 7")
        assert (row.state, row.reference) == ("paid", "bank 7")
        cash = [b.amount.amount for b in ledger_balances(currency="USD") if b.kind == "cash"]
        assert D(-7) + 1000 in cash
        assert unbalanced() == []
    assert standing(partner) == {"pending": 0, "available": 0, "paid": 0, "receivable": 0}


def test_only_operators_pay_and_only_partners() -> None:
    partner = partner_make(terms())
    member = owner_of(tenant_make())
    with system_scope(), pytest.raises(PermissionDenied):
        payout_order(actor=member, currency="USD", key="k")
    with system_scope(), pytest.raises(InvalidInput, match="is no partner"):
        payout_order(actor=operator_of(member.tenant_id), currency="USD", key="k")
    assert standing(partner)["available"] == 0
