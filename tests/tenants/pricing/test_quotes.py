"""Quotes: stored, for an hour, bound to their work; and how wrong they were."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

from tenants.accounts.actors import Actor, ActorKind
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.pricing import quotes
from tenants.pricing.models import Quote
from tenants.pricing.quotes import QuoteLine, quote_amounts, quote_make, quote_use
from tenants.pricing.selectors import quote_errors
from tests.tenants.pricing.books import (
    charge,
    item,
    platform_make,
    prices_with,
    publish,
    tax_set,
    tenant_make,
)
from tests.tenants.pricing.factories import D, tiers

pytestmark = pytest.mark.django_db

LINE = QuoteLine("tokens.trained", D(900_000), D(1_000_000), D(1_500_000), {"base": "mini"})


@pytest.fixture
def tenant() -> str:
    platform_make()
    return tenant_make(credit="100")


def quote(tenant_id: str, *lines: QuoteLine, fingerprint: str = "f", **fields: Any) -> Quote:
    actor = Actor(ActorKind.MEMBER, "user_1", tenant_id)
    with tenant_scope(tenant_id):
        return quote_make(
            actor=actor, kind="fine_tune", fingerprint=fingerprint, lines=lines or [LINE], **fields
        )


def nets(made: Quote) -> tuple[Any, ...]:
    return made.low_net, made.expected_net, made.high_net


def test_a_quote_has_three_cases_net_tax_and_gross(tenant: str) -> None:
    tax_set(tenant, "0.19")
    made = quote(tenant, seconds=[D(60), D(90), D("120.5")])
    assert nets(made) == (D("3.6"), D(4), D(6))
    high = quote_amounts(made)["high"]
    assert (high.net.amount, high.tax.amount, high.gross.amount) == (6, D("1.14"), D("7.14"))
    assert made.seconds == ["60", "90", "120.5"]
    assert made.expires_at - made.created_at == dt.timedelta(hours=1)


def test_expected_counts_on_from_the_month_and_high_trusts_no_free_units(tenant: str) -> None:
    trained = {"model": "graduated", "per": "1000000", "allowance": "500000",
               "tiers": tiers(("1000000", "4"), (None, "2"))}  # fmt: skip
    publish(prices_with(tokens_trained=trained))
    assert nets(quote(tenant)) == (D("1.6"), D(2), D(6))  # 0.4, 0.5 M at 4; 1.5 M at most
    charge(tenant, "a", item("tokens.trained", 1_000_000, job_id="j"))  # 0.5 M left of the tier
    assert nets(quote(tenant)) == (D("2.8"), D(3), D(6))  # 0.5 at 4, then 0.4, 0.5 at 2
    charge(tenant, "b", item("tokens.trained", 500_000, job_id="j"))
    assert nets(quote(tenant)) == (D("1.8"), D(2), D(6))


def test_lines_of_one_price_count_on_from_each_other(tenant: str) -> None:
    publish(prices_with(tokens_trained={"model": "package", "price": "5", "size": "1000000"}))
    half = QuoteLine("tokens.trained", D(600_000), D(600_000), D(600_000))
    assert nets(quote(tenant, half, half)) == (10, 10, 10)  # 1.2 M: two packages
    third = QuoteLine("tokens.trained", D(300_000), D(300_000), D(300_000))
    assert nets(quote(tenant, third, third))[1] == 5


def test_a_quote_is_used_for_its_work_within_its_hour(
    tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = quote(tenant)
    with tenant_scope(tenant):
        assert quote_use(made.id, "f") == made
        with pytest.raises(Conflict) as refused:
            quote_use(made.id, "g")
        assert refused.value.code == "quote_mismatch"
        monkeypatch.setattr(quotes, "now", lambda: made.expires_at)
        with pytest.raises(Conflict) as refused:
            quote_use(made.id, "f")
        assert refused.value.code == "quote_expired"
    with tenant_scope(tenant_make("Other")):
        with pytest.raises(NotFound):
            quote_use(made.id, "f")


def test_a_promise_is_not_changed(tenant: str) -> None:
    made = quote(tenant)
    with tenant_scope(tenant):
        cursor = connections["default"].cursor()
        with pytest.raises(DatabaseError), transaction.atomic("default"):
            cursor.execute("UPDATE quote SET high_net = 0 WHERE id = %s", [made.id])


@pytest.mark.parametrize(
    "quantities", [("2", "1", "3"), ("1", "3", "2"), ("-1", "0", "0"), ("0", "NaN", "1")]
)
def test_quantities_ascend_and_are_finite(quantities: tuple[str, str, str]) -> None:
    with pytest.raises(InvalidInput):
        QuoteLine("tokens.input", *map(D, quantities))


def test_the_error_of_a_quote_can_be_read(tenant: str) -> None:
    made, unused = quote(tenant), quote(tenant, fingerprint="g")
    job = {"subject_kind": "job", "subject_id": "j", "quote_id": made.id}
    charge(tenant, "j:1", item("tokens.trained", 700_000, job_id="j"), **job)
    charge(tenant, "j:2", item("tokens.trained", 500_000, job_id="j"), **job)
    with system_scope():
        (found,) = quote_errors()
    assert found.quote_id == made.id != unused.id
    assert (found.expected.amount, found.actual.amount) == (4, D("4.8"))
    assert (found.error, found.within) == (Money(D("0.8"), "USD"), True)
    with system_scope():
        assert quote_errors(kinds=["batch"]) == []
