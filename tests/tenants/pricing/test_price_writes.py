"""The price guard: nothing is sold below what it was measured to cost, unless with leave."""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading
from collections.abc import Callable

import pytest
from django.db import connections

from tenants.accounts.models import AuditEntry
from tenants.billing.services.credit import credit_grant
from tenants.kernel.clock import now
from tenants.kernel.errors import InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.ledger.chart import GrantKind
from tenants.pricing.defaults import FIRST_VERSION, LIST_BOOK
from tenants.pricing.floors import FloorTerms, Takes
from tenants.pricing.models import PriceOverride
from tenants.pricing.selectors import version_prices
from tenants.pricing.selectors.guarding import floor_terms, quote_shortfalls
from tenants.pricing.services import (
    contract_end,
    floor_policy_set,
    fx_rate_set,
    price_book_create,
    price_override_grant,
)
from tenants.pricing.services.books import NewPrice
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
from tests.tenants.pricing.floors_made import (
    DAY,
    cost_measure,
    override,
    per_million,
    standing_below,
)

pytestmark = pytest.mark.django_db


def dearly() -> list[NewPrice]:
    return prices_with(tokens_trained=per_million("6.00"))


def test_a_price_that_has_come_to_lie_below_cost_keeps_no_other_from_changing() -> None:
    publish(prices_with(tokens_trained=per_million("4.00")))
    cost_measure("5")
    publish(prices_with(tokens_trained=per_million("4.00"), tokens_input=per_million("0.70")))
    with pytest.raises(InvalidInput, match=r"tokens\.trained: 4\.1 "):
        publish(prices_with(tokens_trained=per_million("4.1")))


def test_publishing_below_cost_is_refused_and_at_cost_is_not() -> None:
    cost_measure("5")
    with pytest.raises(InvalidInput, match=r"tokens\.trained: 4\.99 .* floor of 5 for mini") as no:
        publish(prices_with(tokens_trained=per_million("4.99")))
    assert no.value.code == "price_below_floor"
    publish(prices_with(tokens_trained=per_million("5.00")))


def test_what_was_measured_long_ago_does_not_count() -> None:
    cost_measure("5", days_ago=31)
    publish(prices_with(tokens_trained=per_million("0.01")))


def test_what_was_measured_of_less_than_a_million_tokens_does_not_count() -> None:
    cost_measure("5", tokens=999_999)
    publish(prices_with(tokens_trained=per_million("0.01")))
    cost_measure("0.000001", tokens=1)
    with pytest.raises(InvalidInput, match=r"tokens\.trained: 0\.02 .* floor of 5\.000001 for"):
        publish(prices_with(tokens_trained=per_million("0.02")))


def test_an_override_lets_one_meter_of_one_book_pass() -> None:
    cost_measure("5")
    cost_measure("5", kind="serve")
    override("tokens.trained", book_id=LIST_BOOK)
    names = ("trained", "input", "cached", "output", "embedded")
    cheap = prices_with(**{f"tokens_{name}": per_million("0.01") for name in names})
    with pytest.raises(InvalidInput) as refused:
        publish(cheap)
    assert "tokens.trained" not in refused.value.message  # it is the others that are refused now
    for meter in ("tokens.input", "tokens.cached", "tokens.output", "tokens.embedded"):
        override(meter, book_id=LIST_BOOK)
    publish(cheap)
    with system_scope():
        assert AuditEntry.objects.filter(action="price_override.grant").count() == 5
        entry = AuditEntry.objects.filter(action="price_override.grant").first()
        assert entry is not None
        assert entry.data["reason"] == "matches a rival for a quarter"


def test_an_override_that_has_ended_lets_nothing_pass() -> None:
    """Rows are append-only, so one that has ended is written as such; only its end differs."""
    cost_measure("5")
    cheap = prices_with(tokens_trained=per_million("4.99"))

    def leave(ends: dt.timedelta) -> None:
        with system_scope():
            PriceOverride.objects.create(
                id=new_id("override_"), book_id=LIST_BOOK, meter="tokens.trained",
                reason="matches a rival for a quarter", granted_by="user_op",
                expires_at=now() + ends,
            )  # fmt: skip

    leave(dt.timedelta(seconds=-1))
    with pytest.raises(InvalidInput, match=r"tokens\.trained: 4\.99") as refused:
        publish(cheap)
    assert refused.value.code == "price_below_floor"
    leave(dt.timedelta(minutes=5))
    publish(cheap)


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "short"},
        {"expires_at": dt.timedelta(days=-1)},
        {"expires_at": dt.timedelta(days=400)},
        {"book_id": ""},
        {"tenant_id": "ten_also"},
    ],
)
def test_an_override_has_a_reason_an_end_and_one_place(fields: dict[str, object]) -> None:
    given: dict[str, object] = {
        "reason": "matches a rival for a quarter",
        "expires_at": dt.timedelta(days=1),
        "book_id": LIST_BOOK,
        **fields,
    }
    given["expires_at"] = now() + given["expires_at"]  # type: ignore[operator]
    actor = operator_make()
    with system_scope():
        with pytest.raises(InvalidInput):
            price_override_grant(actor=actor, meter="tokens.input", **given)  # type: ignore[arg-type]


def test_a_contract_may_not_discount_below_cost() -> None:
    tenant = tenant_make()
    publish(dearly())
    cost_measure("5")
    contract_make(tenant, discount=D("0.15"))  # 6 x 0.85 = 5.10
    with pytest.raises(InvalidInput, match=r"6 x \(1 - 0\.2\) = 4\.8") as refused:
        contract_make(tenant, discount=D("0.2"))
    assert refused.value.code == "price_below_floor"
    override("tokens.trained", tenant_id=tenant)
    contract_make(tenant, discount=D("0.2"))
    with pytest.raises(InvalidInput):
        contract_make(tenant_make("Other"), discount=D("0.2"))  # the leave was for one


def test_a_contract_that_sets_no_price_of_its_own_is_not_asked() -> None:
    """A credit limit must not be refused because the list has come to lie below cost."""
    cost_measure("5")
    contract_make(tenant_make(), credit_limit=D(50))
    with pytest.raises(InvalidInput):
        contract_make(tenant_make(), pinned_version_id=FIRST_VERSION)


def test_what_has_come_to_lie_below_its_floor_is_found() -> None:
    publish(dearly())
    tenant = tenant_make()
    contract_make(tenant, discount=D("0.5"))
    assert standing_below() == []
    cost_measure("5")
    override("tokens.trained", tenant_id=tenant)
    (found,) = standing_below()
    assert (found.price.tenant_id, found.price.effective, found.price.floor) == (tenant, D(3), 5)
    assert found.permit.startswith("over_")
    cost_measure("9")  # now (5 + 9) / 2 = 7 for a million
    assert [(f.price.book_id, f.price.tenant_id, f.price.floor) for f in standing_below()] == [
        (LIST_BOOK, "", D(7)),
        (LIST_BOOK, tenant, D(7)),
    ]


def test_a_new_list_price_is_held_to_the_discounts_that_follow_it() -> None:
    publish(dearly())
    tenant = tenant_make()
    contract_make(tenant, discount=D("0.15"))
    cost_measure("5")
    publish(prices_with(tokens_trained=per_million("5.9")))  # x 0.85 = 5.015
    with pytest.raises(InvalidInput, match=rf"5\.8 x \(1 - 0\.15\) = 4\.93 .* for {tenant}"):
        publish(prices_with(tokens_trained=per_million("5.8")))
    with pytest.raises(InvalidInput, match="for ten_"):
        publish(prices_with(tokens_trained=per_million("5.8")), valid_from=now() + 9 * DAY)
    override("tokens.trained", tenant_id=tenant)
    publish(prices_with(tokens_trained=per_million("5.8")))


def test_a_discount_is_held_to_the_list_prices_that_are_to_come() -> None:
    publish(dearly())
    publish(prices_with(tokens_trained=per_million("5.5")), valid_from=now() + 9 * DAY)
    cost_measure("5")
    with pytest.raises(InvalidInput, match=r"5\.5 x \(1 - 0\.15\)"):
        contract_make(tenant_make(), discount=D("0.15"))
    contract_make(tenant_make(), discount=D("0.15"), ends=now() + 8 * DAY)  # 6 x 0.85 = 5.1


def test_an_override_reaches_no_price_that_begins_after_it() -> None:
    cost_measure("5")
    override("tokens.trained", book_id=LIST_BOOK, expires=5 * DAY)
    cheap = prices_with(tokens_trained=per_million("4.5"))
    with pytest.raises(InvalidInput):
        publish(cheap, valid_from=now() + 6 * DAY)
    publish(cheap)
    with pytest.raises(InvalidInput):  # nor is it carried on by a copy of what it allowed
        publish(cheap, valid_from=now() + 6 * DAY)


def credit(tenant_id: str, amount: str, key: str) -> None:
    actor = dataclasses.replace(operator_make(), tenant_id=tenant_id)
    with system_scope():
        credit_grant(
            actor=actor, key=key, kind=GrantKind.PROMOTION, amount=Money.of(amount, "USD"),
            reason="sorry for the wait",
        )  # fmt: skip


def test_credit_that_is_given_lowers_the_price_of_what_a_tenant_buys() -> None:
    """Spread over a year: 12 USD are 1 a month, of 6 that the tenant's month comes to."""
    platform_make()
    publish(dearly())
    tenant = tenant_make(credit="20")
    charge(tenant, "k", item("tokens.trained", 1_000_000, job_id="j"))
    cost_measure("5")
    credit(tenant, "12", "first")  # 6 x 5/6 = 5
    with pytest.raises(InvalidInput, match=r"after credit and caps") as refused:
        credit(tenant, "0.12", "second")
    assert refused.value.code == "price_below_floor"
    with pytest.raises(InvalidInput):
        contract_make(tenant, discount=D("0.01"))
    override("*", tenant_id=tenant)
    credit(tenant, "0.12", "second")


def test_a_plans_free_credit_and_its_cap_are_discounts() -> None:
    platform_make()
    publish(dearly())
    tenant = tenant_make(credit="20")
    charge(tenant, "k", item("tokens.trained", 1_000_000, job_id="j"))
    cost_measure("5")
    contract_make(tenant, allowance=D(20), plan_fee=D(19))  # a dollar of six
    for terms in ({"allowance": D(20), "plan_fee": D("18.9")}, {"cap": D("4.99")}):
        with pytest.raises(InvalidInput, match="after credit and caps"):
            contract_make(tenant, **terms)
    contract_make(tenant, cap=D(5))


def test_a_contract_may_not_end_into_prices_that_credit_brings_below_their_floor() -> None:
    platform_make()
    publish(prices_with(tokens_trained=per_million("5.5")))
    tenant = tenant_make(credit="20")
    charge(tenant, "k", item("tokens.trained", 1_000_000, job_id="j"))
    book = own_book(tenant, "8")
    contract_make(tenant, book_id=book)
    cost_measure("5")
    credit(tenant, "12", "k")  # 8 - 1 = 7; by the list 5.5 - 1
    actor = operator_make()
    with system_scope():
        with pytest.raises(InvalidInput, match="after credit and caps"):
            contract_end(actor=actor, tenant_id=tenant)


def own_book(tenant_id: str, trained: str) -> str:
    actor = operator_make()
    with system_scope():
        book = price_book_create(actor=actor, name="Own", tenant_id=tenant_id)
    publish(prices_with(tokens_trained=per_million(trained)), book_id=book.id)
    return str(book.id)


def test_a_book_in_a_currency_without_a_rate_cannot_be_compared_and_says_so() -> None:
    actor = operator_make()
    with system_scope():
        book = price_book_create(actor=actor, name="Yen", currency="JPY")
    cost_measure("5")
    dear = prices_with(tokens_trained=per_million("900"))
    with pytest.raises(InvalidInput, match="no exchange rate between JPY and USD") as refused:
        publish(dear, book_id=book.id)
    assert refused.value.code == "fx_missing"
    with system_scope():
        fx_rate_set(actor=actor, base="JPY", quote="USD", rate=D("0.0066"))
    publish(dear, book_id=book.id)
    with pytest.raises(InvalidInput, match="4\\.62 USD"):
        publish(prices_with(tokens_trained=per_million("700")), book_id=book.id)


def test_how_floors_are_told_is_the_operators_choice() -> None:
    cost_measure("5")  # long-run; short-run 3.5
    publish(prices_with(tokens_trained=per_million("5")))
    terms = FloorTerms(basis="short_run", takes=Takes(fees=D("0.03"), margin=D("0.27")))
    actor = operator_make()
    with system_scope():
        floor_policy_set(actor=actor, terms=terms, reason="a war at the margin")
        with pytest.raises(InvalidInput, match="say why"):
            floor_policy_set(actor=actor, terms=terms, reason="so")
    publish(prices_with(tokens_trained=per_million("5.01")))  # 3.5 / 0.7 = 5
    with pytest.raises(InvalidInput, match="floor of 5 for mini"):
        publish(prices_with(tokens_trained=per_million("4.99")))


@pytest.mark.parametrize(
    ("terms", "param"),
    [
        (FloorTerms(planned_utilisation=D("0.0000001")), "planned_utilisation"),
        (FloorTerms(takes=Takes(margin=D("0.9999999"))), "margin"),
    ],
)
def test_a_policy_that_its_columns_would_round_is_refused(terms: FloorTerms, param: str) -> None:
    """Rounded to 0 or 1 it could not be read again, and no price could be written any more."""
    actor = operator_make()
    with system_scope():
        with pytest.raises(InvalidInput, match="at most 6 decimals") as refused:
            floor_policy_set(actor=actor, terms=terms, reason="a war at the margin")
        assert refused.value.param == param
        assert floor_terms() == FloorTerms()


def test_two_writers_at_once_cannot_both_pass() -> None:
    """A discount of 15% and a list price of 5.8 are fine alone; together they are 4.93."""
    publish(dearly())
    tenant = tenant_make()
    cost_measure("5")
    begun = threading.Barrier(2)
    found: list[str] = []

    def run(write: Callable[[], object]) -> None:
        begun.wait()
        try:
            write()
        except InvalidInput as error:
            found.append(error.code)
        else:
            found.append("written")
        finally:
            connections.close_all()

    writes: list[Callable[[], object]] = [
        lambda: contract_make(tenant, discount=D("0.15")),
        lambda: publish(prices_with(tokens_trained=per_million("5.8"))),
    ]
    threads = [threading.Thread(target=run, args=(write,)) for write in writes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["price_below_floor", "written"]
    assert standing_below() == []


def test_a_quotes_discount_is_held_to_the_floor_and_to_what_the_tenant_was_given() -> None:
    platform_make()
    version = publish(dearly())
    tenant = tenant_make(credit="20")
    charge(tenant, "k", item("tokens.trained", 1_000_000, job_id="j"))
    cost_measure("5")

    def short(discount: str) -> list[str]:
        with system_scope():
            prices = version_prices(version)
            found = quote_shortfalls(tenant, version.id, prices, D(discount))
        return [price.price_key for price in found]

    assert (short("0.16"), short("0.17")) == ([], ["tokens.trained"])
    credit(tenant, "6", "k")  # half a dollar a month of six
    assert (short("0.09"), short("0.1")) == ([], ["tokens.trained"])
    override("tokens.trained", tenant_id=tenant)
    assert short("0.9") == []
