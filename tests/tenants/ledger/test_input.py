"""What no book may take: each is refused by name, and nothing is kept."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections

from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger import services
from tenants.ledger.chart import AccountKind, GrantKind, RevenueLine
from tenants.ledger.errors import CreditExhausted
from tenants.ledger.models import LedgerTransaction
from tenants.ledger.selectors import ledger_balances, unbalanced
from tenants.ledger.services import NewPosting
from tenants.ledger.statements import ChargeLine
from tests.tenants.ledger.factories import (
    balance_of,
    charge_make,
    customer_make,
    grant_make,
    hold_make,
    usd,
)

pytestmark = pytest.mark.django_db

BAD_AMOUNTS = ["0", "-1", "0.0000000000001", "1000000000000000"]
NOT_NUMBERS = ["NaN", "Infinity", "-Infinity", "one", ""]


def transactions(tenant_id: str) -> int:
    with system_scope():
        return LedgerTransaction.objects.filter(tenant_id=tenant_id).count()


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
def test_amounts_that_are_none(amount: str) -> None:
    tenant_id = customer_make()
    grant_id = grant_make(tenant_id, "10")
    key = hold_make(tenant_id, "1")
    before = transactions(tenant_id)
    with pytest.raises(InvalidInput):
        grant_make(tenant_id, amount)
    with pytest.raises(InvalidInput):
        hold_make(tenant_id, amount)
    with pytest.raises(InvalidInput), tenant_scope(tenant_id):
        services.hold_extend(tenant_id=tenant_id, key=key, extra=usd(amount))
    with pytest.raises(InvalidInput), system_scope():
        services.payment_post(tenant_id=tenant_id, key="p", amount=usd(amount), source="manual")
    with pytest.raises(InvalidInput), system_scope():
        services.grant_withdraw(tenant_id=tenant_id, key="w", grant_id=grant_id, amount=usd(amount))
    assert transactions(tenant_id) == before


@pytest.mark.parametrize("net", [*NOT_NUMBERS, "0.0000000000001", "1e15", None])
def test_lines_that_are_no_money(net: str | None) -> None:
    """Past Python's own checks, straight to the database."""
    tenant_id = customer_make()
    query = (
        "SELECT wallet_charge(%s, 'USD', 'k', now(),"
        " jsonb_build_array(jsonb_build_object('revenue', 'tokens', 'net', %s::text)))"
    )
    with pytest.raises(Exception, match=r"invalid input|decimals"), tenant_scope(tenant_id):
        with connections["default"].cursor() as cursor:
            cursor.execute(query, [tenant_id, net])
    assert transactions(tenant_id) == 0


def test_numbers_that_are_none_are_refused_by_the_database_too() -> None:
    tenant_id = customer_make()
    for number in ("NaN", "Infinity"):
        for query in (
            "SELECT wallet_hold(%s, 'USD', 'k', %s::numeric)",
            "SELECT wallet_grant(%s, 'USD', 'k', 'paid', %s::numeric, 0, 0, NULL, false, 'manual')",
            "SELECT wallet_pay(%s, 'USD', 'k', %s::numeric, 'manual')",
        ):
            with pytest.raises(Exception, match="decimals"), system_scope():
                with connections["system"].cursor() as cursor:
                    cursor.execute(query, [tenant_id, number])


def test_a_revenue_line_that_there_is_not() -> None:
    tenant_id = customer_make()
    with pytest.raises(Exception, match="no revenue line gifts"), tenant_scope(tenant_id):
        with connections["default"].cursor() as cursor:
            cursor.execute(
                "SELECT wallet_charge(%s, 'USD', 'k', now(),"
                """ '[{"revenue": "gifts", "net": "1"}]')""",
                [tenant_id],
            )


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_keys_that_are_none(key: str) -> None:
    tenant_id = customer_make(credit_limit="5")
    with pytest.raises(InvalidInput, match="a key has"):
        charge_make(tenant_id, "1", key=key)
    with pytest.raises(InvalidInput, match="a key has"), tenant_scope(tenant_id):
        services.hold_place(tenant_id=tenant_id, key=key, amount=usd(1))


def test_currencies_never_mix() -> None:
    tenant_id = customer_make()
    grant_id = grant_make(tenant_id, "10")
    euros = Money.of(1, "EUR")
    with pytest.raises(CreditExhausted), tenant_scope(tenant_id):
        services.hold_place(tenant_id=tenant_id, key="h", amount=euros)
    with pytest.raises(InvalidInput, match="nothing is converted"), system_scope():
        services.grant_withdraw(tenant_id=tenant_id, key="w", grant_id=grant_id, amount=euros)
    with pytest.raises(InvalidInput, match="nothing is converted"):
        grant_make(tenant_id, "1", tax=euros, tax_included=True)
    with pytest.raises(InvalidInput, match="capital letters"), tenant_scope(tenant_id):
        services.charge_post(tenant_id=tenant_id, currency="usd", key="k", lines=[])


def test_grants_that_make_no_sense() -> None:
    tenant_id = customer_make()
    yesterday = now() - dt.timedelta(days=1)
    for fields in (
        {"kind": "gift"},
        {"expires_at": yesterday},
        {"tax": usd(1)},
        {"tax": usd(-1), "tax_included": True},
        {"kind": GrantKind.PROMOTION, "tax_included": True},
        {"source": ""},
    ):
        with pytest.raises(InvalidInput):
            grant_make(tenant_id, "1", **fields)
    assert transactions(tenant_id) == 0


def test_unknown_grants_and_tenants() -> None:
    tenant_id, other = customer_make(), customer_make()
    foreign = grant_make(other, "10")
    with system_scope():
        for grant_id in ("grant_x", foreign):
            with pytest.raises(NotFound):
                services.grant_withdraw(
                    tenant_id=tenant_id, key="w", grant_id=grant_id, amount=usd(1)
                )
        with pytest.raises(NotFound, match="no tenant"):
            services.wallet_lock(tenant_id="ten_x", currency="USD")


def test_only_unused_paid_credit_is_cash() -> None:
    tenant_id = customer_make()
    paid = grant_make(tenant_id, "10")
    gift = grant_make(tenant_id, "10", GrantKind.PROMOTION)
    hold_make(tenant_id, "13")
    with system_scope():
        with pytest.raises(InvalidInput, match="never cash"):
            services.grant_withdraw(tenant_id=tenant_id, key="g", grant_id=gift, amount=usd(1))
        with pytest.raises(CreditExhausted):
            services.grant_withdraw(tenant_id=tenant_id, key="w", grant_id=paid, amount=usd(8))
        services.grant_withdraw(tenant_id=tenant_id, key="w", grant_id=paid, amount=usd(7))


def test_a_key_is_its_payloads_for_ever() -> None:
    tenant_id = customer_make()
    grant_id = grant_make(tenant_id, "10", key="g")
    assert grant_make(tenant_id, "10.00", key="g") == grant_id
    first = charge_make(tenant_id, "1.50", key="c", labels={"model": "m"})
    later = now() + dt.timedelta(minutes=1)
    assert charge_make(tenant_id, "1.5", later, key="c", labels={"model": "m"}) == first
    key = hold_make(tenant_id, "2")
    with system_scope():
        paid = services.payment_post(tenant_id=tenant_id, key="p", amount=usd(3), source="manual")
        again = services.payment_post(tenant_id=tenant_id, key="p", amount=usd(3), source="manual")
        assert paid == again
    for attempt in (
        lambda: grant_make(tenant_id, "11", key="g"),
        lambda: grant_make(tenant_id, "10", GrantKind.PROMOTION, key="g"),
        lambda: charge_make(tenant_id, "1.51", key="c", labels={"model": "m"}),
        lambda: charge_make(tenant_id, "1.5", key="c", labels={"model": "n"}),
        lambda: charge_make(tenant_id, "1.5", key="c", hold_key=key, labels={"model": "m"}),
        lambda: charge_make(tenant_id, "1", key="g"),
        lambda: hold_make(tenant_id, "3", key=key),
    ):
        with pytest.raises(Conflict) as refused:
            attempt()
        assert refused.value.code == "ledger_key_conflict"
    balance = balance_of(tenant_id)
    assert (balance.available, balance.held) == (usd("9.5"), usd(2))


def test_two_tenants_may_use_one_key() -> None:
    first, second = customer_make(), customer_make()
    assert grant_make(first, "1", key="g") != grant_make(second, "2", key="g")


def post(tenant_id: str, *postings: NewPosting, key: str = "t", **fields: Any) -> str:
    with system_scope():
        return services.transaction_post(
            tenant_id=tenant_id, key=key, kind="test", postings=postings, **fields
        )


def test_postings_keep_the_wallet_in_step_and_can_be_reversed_once() -> None:
    tenant_id = customer_make()
    charge_make(tenant_id, "0.004")
    rounded = (
        NewPosting(AccountKind.RECEIVABLE, usd("-0.004")),
        NewPosting(AccountKind.ROUNDING, usd("0.004")),
    )
    transaction = post(tenant_id, *rounded)
    assert post(tenant_id, *rounded) == transaction
    assert balance_of(tenant_id).owed == usd(0)
    with system_scope():
        reversal = services.transaction_reverse(
            tenant_id=tenant_id, key="r", transaction_id=transaction
        )
        with pytest.raises(Conflict):
            services.transaction_reverse(tenant_id=tenant_id, key="r2", transaction_id=transaction)
        assert LedgerTransaction.objects.get(id=reversal).reverses_id == transaction
        assert unbalanced() == []
    assert balance_of(tenant_id).owed == usd("0.004")


def test_a_charge_is_not_reversed_but_given_back() -> None:
    tenant_id = customer_make()
    charge = charge_make(tenant_id, "1")
    with pytest.raises(InvalidInput, match="given back"), system_scope():
        services.transaction_reverse(
            tenant_id=tenant_id, key="r", transaction_id=charge.transaction_id
        )


def test_a_payment_that_bounces_is_owed_again() -> None:
    tenant_id = customer_make(credit_limit="20")
    charge_make(tenant_id, "10")
    with system_scope():
        paid = services.payment_post(tenant_id=tenant_id, key="p", amount=usd(12), source="manual")
    assert (balance_of(tenant_id).owed, balance_of(tenant_id).credit) == (usd(0), usd(2))
    with system_scope():
        services.transaction_reverse(tenant_id=tenant_id, key="r", transaction_id=paid)
    assert (balance_of(tenant_id).owed, balance_of(tenant_id).credit) == (usd(10), usd(0))


def test_postings_that_no_book_takes() -> None:
    tenant_id = customer_make()
    grant_id = grant_make(tenant_id, "5")
    hold_make(tenant_id, "4")
    cash = NewPosting(AccountKind.CASH, usd(-2), "manual")
    with pytest.raises(InvalidInput, match="-2 USD too much"):
        post(tenant_id, cash)
    with pytest.raises(NotFound):
        post(tenant_id, NewPosting(AccountKind.GRANT, usd(2), "grant_x"), cash)
    with pytest.raises(Conflict, match="credit_grant_not_below_zero"):  # 4 of 5 are held
        post(tenant_id, NewPosting(AccountKind.GRANT, usd(2), grant_id), cash)
    with pytest.raises(Conflict, match="wallet_not_below_zero"):
        post(tenant_id, NewPosting(AccountKind.RECEIVABLE, usd(-2)), NewPosting(
            AccountKind.BAD_DEBT, usd(2)))  # fmt: skip
    with pytest.raises(InvalidInput, match="no revenue line"):
        post(tenant_id, NewPosting(AccountKind.REVENUE, usd(2), "gifts"), cash)
    with system_scope():
        assert sum(balance.amount.amount for balance in ledger_balances()) == 0


def test_settings_of_a_wallet_that_make_no_sense() -> None:
    tenant_id = customer_make()
    for fields in (
        {"credit_limit": usd(-1)},
        {"tax_rate": Decimal("1.01")},
        {"tax_rate": Decimal("-0.1")},
        {"tax_rate": Decimal("NaN")},
        {"tax_rate": Decimal("0.0000001")},
        {"credit_limit": Money.of(1, "EUR")},
    ):
        with pytest.raises(InvalidInput), system_scope():
            services.wallet_change(tenant_id=tenant_id, currency="USD", **fields)


def test_no_lines_are_a_charge_of_nothing() -> None:
    tenant_id = customer_make()
    key = "nothing"
    with tenant_scope(tenant_id):
        first = services.charge_post(tenant_id=tenant_id, currency="USD", key=key, lines=[])
        zero = [ChargeLine(RevenueLine.TOKENS, Decimal(0))]
        again = services.charge_post(tenant_id=tenant_id, currency="USD", key=key, lines=zero)
    assert first == again
    assert (first.net, first.tax, first.gross) == (0, 0, 0)
