"""Contracts: effective-dated terms, carried over to the wallet."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from tenants.accounts.models import AuditEntry
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.selectors import wallet_balance
from tenants.pricing.cards import month_bounds, period_of
from tenants.pricing.contract_terms import NewContract
from tenants.pricing.models import Contract
from tenants.pricing.selectors import contract_in_force, exchange_rate, rate_card
from tenants.pricing.services import (
    contract_end,
    contracts_apply,
    fx_rate_set,
    price_book_create,
)
from tests.tenants.pricing.books import (
    charge,
    contract_make,
    item,
    operator_make,
    platform_make,
    prices_with,
    publish,
    tenant_make,
)
from tests.tenants.pricing.factories import D

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)


def balance(tenant_id: str, currency: str = "USD") -> tuple[Decimal, Decimal]:
    """(credit limit, available)."""
    with tenant_scope(tenant_id):
        found = wallet_balance(tenant_id=tenant_id, currency=currency)
    return found.credit_limit.amount, found.available.amount


def next_month() -> dt.datetime:
    return month_bounds(period_of(now()))[1]


def rate_make(quote: str = "EUR", rate: str = "0.9") -> None:
    actor = operator_make()
    with system_scope():
        fx_rate_set(actor=actor, base="USD", quote=quote, rate=D(rate))


def test_without_a_contract_a_tenant_follows_the_list_in_advance() -> None:
    tenant = tenant_make()
    with tenant_scope(tenant):
        assert contract_in_force(tenant, now()) is None
        card = rate_card(tenant, now())
    assert (card.currency, card.contract_id, card.discount, card.factor) == ("USD", "", 0, 1)
    assert balance(tenant) == (0, 0)


def test_a_contract_gives_credit_allowance_and_discount_at_once() -> None:
    tenant = tenant_make()
    contract = contract_make(tenant, discount=D("0.25"), credit_limit=D(50), allowance=D(10))
    assert balance(tenant) == (50, 60)
    charged = charge(tenant, "r", item("tokens.input", 10_000_000))
    assert charged.net.amount == D("4.5")  # 6 x 0.75
    assert charged.allowance == D("4.5")
    with system_scope():
        assert contracts_apply() == 1  # again: no second allowance
        entry = AuditEntry.objects.get(action="contract.write")
        assert (entry.target, entry.data["credit_limit"]) == (contract.id, "50")
    assert balance(tenant) == (50, D("55.5"))


def test_a_new_contract_ends_the_one_before_it() -> None:
    tenant = tenant_make()
    first = contract_make(tenant, credit_limit=D(50))
    second = contract_make(tenant, credit_limit=D(20))
    with system_scope():
        first.refresh_from_db()
        assert first.ends == second.starts
        assert contract_in_force(tenant, now()) == second
    assert balance(tenant)[0] == 20


@pytest.mark.parametrize(("second", "available"), [("10", 10), ("14", 14), ("4", 10)])
def test_a_contract_replaced_within_the_month_gives_no_second_allowance(
    second: str, available: int
) -> None:
    tenant = tenant_make()
    contract_make(tenant, allowance=D(10))
    contract_make(tenant, allowance=D(second))
    assert balance(tenant) == (0, available)
    with system_scope():
        contracts_apply()
    assert balance(tenant) == (0, available)


def test_a_contract_of_tomorrow_gives_nothing_today() -> None:
    tenant = tenant_make()
    contract_make(tenant, credit_limit=D(50), starts=now() + HOUR)
    assert balance(tenant) == (0, 0)
    with pytest.raises(Conflict):
        contract_make(tenant, credit_limit=D(20))


def test_an_ended_contract_takes_its_credit_along() -> None:
    tenant = tenant_make()
    contract_make(tenant, credit_limit=D(50), discount=D("0.5"))
    actor = operator_make()
    with system_scope():
        contract_end(actor=actor, tenant_id=tenant)
        with pytest.raises(NotFound):
            contract_end(actor=actor, tenant_id=tenant)
    assert balance(tenant) == (0, 0)
    with tenant_scope(tenant):
        assert rate_card(tenant, now()).discount == 0


@pytest.mark.parametrize(
    "terms",
    [
        {"discount": D("-0.1")},
        {"discount": D("1.1")},
        {"discount": D("NaN")},
        {"discount": D("0.1234567")},
        {"plan_fee": D("-1")},
        {"credit_limit": D("Infinity")},
        {"commitment": D("0.0000000000001")},
        {"cap": D(5), "commitment": D(6)},
        {"currency": "usd"},
        {"starts": dt.datetime(2030, 1, 1)},  # noqa: DTZ001 -- without a zone, on purpose
    ],
)
def test_terms_that_make_no_sense_are_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        NewContract(**terms)


def test_a_contract_neither_starts_in_the_past_nor_ends_before_it_starts() -> None:
    tenant = tenant_make()
    with pytest.raises(InvalidInput):
        contract_make(tenant, starts=now() - HOUR)
    with pytest.raises(InvalidInput):
        contract_make(tenant, starts=now() + 2 * HOUR, ends=now() + HOUR)
    with pytest.raises(NotFound):
        contract_make("ten_nobody")


def test_a_contract_in_a_currency_without_a_rate_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        contract_make(tenant_make(), currency="EUR")
    assert refused.value.code == "fx_missing"


def test_a_contract_in_another_currency_is_charged_in_it() -> None:
    tenant = tenant_make()
    rate_make("JPY", "151.2")
    contract_make(tenant, currency="JPY", credit_limit=D(10_000), discount=D("0.5"))
    charged = charge(tenant, "r", item("tokens.input", 1_000_000))
    assert (charged.net.amount, charged.net.currency) == (D("45.36"), "JPY")  # 0.6 x 0.5 x 151.2
    assert balance(tenant, "JPY") == (10_000, D("9954.64"))


def test_a_month_stays_in_the_currency_in_which_it_was_charged() -> None:
    platform_make()
    tenant = tenant_make(credit="10")
    rate_make()
    charge(tenant, "r", item("tokens.input", 1_000))
    with pytest.raises(InvalidInput) as refused:
        contract_make(tenant, currency="EUR")
    assert refused.value.code == "currency_mismatch"
    contract_make(tenant, currency="EUR", starts=next_month())
    with system_scope():
        assert Contract.objects.get(tenant_id=tenant).starts == next_month()
    with tenant_scope(tenant):
        assert rate_card(tenant, now()).currency == "USD"
        assert rate_card(tenant, next_month()).currency == "EUR"


def test_a_waiver_after_a_change_of_currency_gives_no_dollars_back_as_euros() -> None:
    platform_make()
    tenant = tenant_make(credit="10")
    rate_make()
    job = {"subject_kind": "job", "subject_id": "ftjob-1"}
    charge(tenant, "ftjob-1:0-10", item("tokens.trained", 1_000_000, job_id="j"), **job)
    contract_make(tenant, currency="EUR", credit_limit=D(100), starts=next_month())
    later = next_month() + HOUR
    part = item("tokens.trained", 500_000, at=later, job_id="j")
    assert charge(tenant, "ftjob-1:10-20", part, **job).net == Money(D("1.8"), "EUR")  # 2 x 0.9
    waived = charge(tenant, "ftjob-1:failed", waive="ours", occurred_at=later, **job)
    assert waived.net == Money(D("-1.8"), "EUR")
    assert balance(tenant)[1] == 6  # the dollars were charged at 4, and stay charged


def test_a_change_of_currency_needs_a_rate_for_what_is_promised() -> None:
    tenant, actor = tenant_make(), operator_make()
    with system_scope():
        euros = price_book_create(actor=actor, name="Euro", currency="EUR")
    publish(prices_with(), book_id=euros.id)
    with pytest.raises(InvalidInput) as refused:
        contract_make(tenant, book_id=euros.id, currency="EUR")
    assert (refused.value.code, refused.value.param) == ("fx_missing", "currency")
    with system_scope():
        fx_rate_set(actor=actor, base="EUR", quote="USD", rate=D("1.25"))
        assert exchange_rate("USD", "EUR", now()) == D("0.8")
    assert contract_make(tenant, book_id=euros.id, currency="EUR").currency == "EUR"


def test_a_contract_does_not_start_before_its_books_prices_do() -> None:
    """Else its customer could use nothing, and no sweep and no statement of anybody would pass."""
    tenant, actor = tenant_make(), operator_make()
    with system_scope():
        book = price_book_create(actor=actor, name="Later")
    publish(prices_with(), book_id=book.id, valid_from=next_month())
    with pytest.raises(InvalidInput) as refused:
        contract_make(tenant, book_id=book.id)
    assert refused.value.param == "starts"
    assert contract_make(tenant, book_id=book.id, starts=next_month()).book_id == book.id
    with tenant_scope(tenant):
        assert rate_card(tenant, now()).contract_id == ""
