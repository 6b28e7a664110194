"""Holds: taken in the order of use, extended, drawn down, released, expired."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.db import connections

from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger import services
from tenants.ledger.audit import projections_wrong
from tenants.ledger.chart import GrantKind
from tenants.ledger.errors import CreditExhausted
from tenants.ledger.models import CreditGrant, Hold
from tenants.ledger.selectors import holds_open, ledger_balances
from tests.tenants.ledger.factories import (
    balance_of,
    charge_make,
    customer_make,
    grant_make,
    hold_make,
    usd,
)

pytestmark = pytest.mark.django_db


def parts(tenant_id: str, key: str) -> dict[str | None, Decimal]:
    with tenant_scope(tenant_id):
        hold = Hold.objects.get(key=key)
        return dict(hold.parts.values_list("grant_id", "amount"))


def release(tenant_id: str, key: str) -> bool:
    with tenant_scope(tenant_id):
        return services.hold_release(tenant_id=tenant_id, key=key)


def set_back(table: str, row: str) -> None:
    """Time passes: what ends in the future has ended an hour ago."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET expires_at = now() - interval '1 hour' WHERE id = %s", [row]
        )


def in_an_hour() -> dt.datetime:
    return now() + dt.timedelta(hours=1)


def test_a_hold_takes_credit_in_the_order_of_use_and_then_what_may_be_owed() -> None:
    tenant_id = customer_make(credit_limit="5")
    paid = grant_make(tenant_id, "4")
    sooner = grant_make(tenant_id, "1", GrantKind.PROMOTION, expires_at=in_an_hour())
    later = grant_make(tenant_id, "1", GrantKind.PROMOTION)
    urgent = grant_make(tenant_id, "1", GrantKind.PROMOTION, priority=-1)
    plan = grant_make(tenant_id, "2", GrantKind.ALLOWANCE, priority=9)
    assert parts(tenant_id, hold_make(tenant_id, "3.5")) == {
        plan: 2,
        urgent: 1,
        sooner: Decimal("0.5"),
    }
    key = hold_make(tenant_id, "7.5")
    assert parts(tenant_id, key) == {sooner: Decimal("0.5"), later: 1, paid: 4, None: 2}
    balance = balance_of(tenant_id)
    assert (balance.available, balance.held) == (usd(3), usd(11))


def test_a_refusal_says_what_is_needed_and_what_there_is_and_takes_nothing() -> None:
    tenant_id = customer_make(credit_limit="2")
    grant_make(tenant_id, "3")
    with pytest.raises(CreditExhausted) as refused:
        hold_make(tenant_id, "5.000000000001")
    assert refused.value.needed == usd("5.000000000001")
    assert refused.value.available == usd(5)
    assert (refused.value.code, refused.value.status) == ("insufficient_credit", 402)
    assert balance_of(tenant_id).held == usd(0)
    hold_make(tenant_id, "5")
    assert balance_of(tenant_id).available == usd(0)


def test_a_hold_moves_no_books() -> None:
    tenant_id = customer_make()
    grant_make(tenant_id, "3")
    with system_scope():
        before = ledger_balances()
    hold_make(tenant_id, "3")
    with system_scope():
        assert ledger_balances() == before


def test_releasing_gives_back_to_the_same_grants_once() -> None:
    tenant_id = customer_make(credit_limit="5")
    grant_make(tenant_id, "1", GrantKind.PROMOTION)
    grant_make(tenant_id, "1")
    key = hold_make(tenant_id, "4")
    assert release(tenant_id, key)
    assert not release(tenant_id, key)
    assert not release(tenant_id, "never placed")
    balance = balance_of(tenant_id)
    assert (balance.available, balance.held) == (usd(7), usd(0))
    assert [grant.remaining for grant in balance.grants] == [1, 1]


def test_extending_adds_and_a_refused_extension_changes_nothing() -> None:
    tenant_id = customer_make()
    grant_make(tenant_id, "10")
    key = hold_make(tenant_id, "4")
    with tenant_scope(tenant_id):
        assert services.hold_extend(tenant_id=tenant_id, key=key, extra=usd(3)) == usd(7)
        with pytest.raises(CreditExhausted):
            services.hold_extend(tenant_id=tenant_id, key=key, extra=usd("3.01"))
    assert balance_of(tenant_id).held == usd(7)
    release(tenant_id, key)
    with tenant_scope(tenant_id):
        with pytest.raises(Conflict) as refused:
            services.hold_extend(tenant_id=tenant_id, key=key, extra=usd(1))
        assert refused.value.code == "hold_closed"
        with pytest.raises(NotFound):
            services.hold_extend(tenant_id=tenant_id, key="never", extra=usd(1))


def test_a_kept_hold_is_drawn_down_charge_by_charge() -> None:
    tenant_id = customer_make()
    grant_make(tenant_id, "10")
    key = hold_make(tenant_id, "6")
    for net in ("1", "2.5"):
        charge_make(tenant_id, net, hold_key=key, keep_hold=True)
    with tenant_scope(tenant_id):
        (hold,) = holds_open(tenant_id=tenant_id)
        assert (hold.amount, hold.drawn, hold.left) == (6, Decimal("3.5"), Decimal("2.5"))
    assert balance_of(tenant_id).available == usd(4)
    charge_make(tenant_id, "0.5", hold_key=key)
    assert balance_of(tenant_id).available == usd(6)
    with system_scope():
        assert projections_wrong() == []


def test_a_charge_beyond_its_hold_takes_free_credit_and_then_is_owed() -> None:
    tenant_id = customer_make()
    grant_make(tenant_id, "5")
    key = hold_make(tenant_id, "2")
    other = hold_make(tenant_id, "1")
    outcome = charge_make(tenant_id, "6", hold_key=key)
    assert (outcome.paid, outcome.postpaid) == (4, 2)  # what others hold is not taken
    assert parts(tenant_id, other)
    assert balance_of(tenant_id).owed == usd(2)


@pytest.mark.parametrize("gone", ["released", "unknown"])
def test_work_whose_hold_is_gone_is_charged_all_the_same(gone: str) -> None:
    tenant_id = customer_make()
    grant_make(tenant_id, "5")
    key = hold_make(tenant_id, "2")
    if gone == "released":
        release(tenant_id, key)
    outcome = charge_make(tenant_id, "3", hold_key=key if gone == "released" else "unknown")
    assert outcome.paid == 3


@pytest.mark.parametrize("count", [2, 3, 7])
def test_what_was_held_suffices_for_the_amount_that_it_was_held_for(count: int) -> None:
    """However many grants it is cut into, rounding leaves nothing to be owed."""
    tenant_id = customer_make(tax_rate="0.19", jurisdiction="DE")
    net = Decimal("7.777777777777")
    gross = round(net * Decimal("1.19"), 12)
    for _ in range(count):
        grant_make(tenant_id, str(round(gross / count, 12) + Decimal("0.000000000001")))
    key = hold_make(tenant_id, str(gross))
    outcome = charge_make(tenant_id, str(net), hold_key=key)
    assert outcome.postpaid == 0
    assert abs(outcome.tax - net * Decimal("0.19")) < Decimal("1e-11")


def test_holds_whose_time_is_over_are_swept_and_those_extended_meanwhile_are_not() -> None:
    tenant_id = customer_make()
    grant_make(tenant_id, "10")
    over = hold_make(tenant_id, "2", expires_at=in_an_hour())
    kept = hold_make(tenant_id, "3", expires_at=in_an_hour())
    hold_make(tenant_id, "1")
    with system_scope():
        rows = {hold.key: hold.id for hold in Hold.objects.all()}
    set_back("hold", rows[over])
    set_back("hold", rows[kept])
    with tenant_scope(tenant_id):
        services.hold_extend(tenant_id=tenant_id, key=kept, extra=usd(1), expires_at=in_an_hour())
    with system_scope():
        assert services.holds_expire() == 1
        assert services.holds_expire() == 0
    assert balance_of(tenant_id).held == usd(5)


def test_a_grants_expiry_waits_for_what_is_held_of_it() -> None:
    tenant_id = customer_make()
    grant_id = grant_make(tenant_id, "10", GrantKind.PROMOTION, expires_at=in_an_hour())
    key = hold_make(tenant_id, "4")
    set_back("credit_grant", grant_id)
    assert balance_of(tenant_id).available == usd(0)
    with pytest.raises(CreditExhausted):
        hold_make(tenant_id, "1")
    with system_scope():
        assert services.grants_expire() == 0
    outcome = charge_make(tenant_id, "3", hold_key=key)
    assert outcome.promotion == 3
    with system_scope():
        assert services.grants_expire() == 1
        assert CreditGrant.objects.get(id=grant_id).remaining == 0
        assert services.grants_expire() == 0
        balances = {(b.kind.value, b.ref): b.amount.amount for b in ledger_balances()}
    assert balances["credit_offset", "promotion"] == 0
    assert balances["contra_revenue", "promotion"] == 3


def test_paid_credit_with_an_end_becomes_revenue() -> None:
    tenant_id = customer_make()
    grant_id = grant_make(tenant_id, "10", expires_at=in_an_hour())
    charge_make(tenant_id, "4")
    set_back("credit_grant", grant_id)
    with system_scope():
        assert services.grants_expire() == 1
        balances = {(b.kind.value, b.ref): b.amount.amount for b in ledger_balances()}
    assert balances["revenue", "breakage"] == -6
    assert balances["grant", grant_id] == 0


def test_a_hold_that_is_extended_in_another_month_counts_there() -> None:
    tenant_id = customer_make()
    grant_make(tenant_id, "10")
    key = hold_make(tenant_id, "4")
    last_month = (now().replace(day=1) - dt.timedelta(days=1)).date().replace(day=1)
    with connections["owner"].cursor() as cursor:
        cursor.execute("UPDATE hold SET period = %s", [last_month])
    with tenant_scope(tenant_id), connections["default"].cursor() as cursor:
        cursor.execute("SELECT budget_create(%s, 'USD', 'tenant', '', NULL, 9)", [tenant_id])
        services.hold_extend(tenant_id=tenant_id, key=key, extra=usd(1))
        assert Hold.objects.get().period == now().date().replace(day=1)
        cursor.execute("SELECT period, held FROM budget_spend ORDER BY period")
        assert cursor.fetchall() == [(last_month, 0), (now().date().replace(day=1), 5)]
    with system_scope():
        assert projections_wrong() == []


def test_a_hold_in_another_currency_is_not_drawn_nor_extended() -> None:
    tenant_id = customer_make()
    grant_make(tenant_id, "10")
    with system_scope():
        services.grant_issue(
            tenant_id=tenant_id,
            key="eur",
            kind=GrantKind.PAID,
            amount=Money.of(10, "EUR"),
            source="manual",
        )
    with tenant_scope(tenant_id):
        services.hold_place(tenant_id=tenant_id, key="h", amount=Money.of(5, "EUR"))
        with pytest.raises(InvalidInput, match="EUR"):
            services.hold_extend(tenant_id=tenant_id, key="h", extra=usd(1))
    # the work was done: it is charged from what there is in its own currency
    assert charge_make(tenant_id, "1", hold_key="h").paid == 1
    with system_scope():
        assert Hold.objects.get().state == Hold.State.OPEN
        assert projections_wrong() == []
