"""Price books: versions that follow one another, and what is refused at publishing."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.models import AuditEntry
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import ScopeError, system_scope, tenant_scope
from tenants.pricing.cards import period_of
from tenants.pricing.defaults import FIRST_VERSION, LIST_BOOK, PRICES
from tenants.pricing.matching import coverage_check, match_of
from tenants.pricing.models import Price, PriceBook, PriceBookVersion
from tenants.pricing.selectors import rate_card, tenant_terms
from tenants.pricing.services import (
    fx_rate_set,
    price_book_create,
    price_books_ensure,
    price_override_grant,
    price_version_draft,
    price_version_publish,
)
from tenants.pricing.services.books import NewPrice
from tenants.usage.meters import METERS
from tests.tenants.pricing.books import (
    contract_make,
    operator_make,
    prices_with,
    publish,
    tenant_make,
)
from tests.tenants.pricing.factories import D

pytestmark = pytest.mark.django_db

STANDARD = {"model": "standard", "unit": "1", "per": "1000000"}
SOON = dt.timedelta(hours=1)


def draft(prices: list[NewPrice], book_id: str = LIST_BOOK) -> PriceBookVersion:
    actor = operator_make()
    with system_scope():
        return price_version_draft(actor=actor, book_id=book_id, prices=prices)


def unit_of(tenant_id: str, meter: str, at: dt.datetime | None = None, **dimensions: str) -> object:
    with tenant_scope(tenant_id):
        return rate_card(tenant_id, at or now()).price_of(meter, dimensions).model


def code_of(prices: list[NewPrice]) -> str:
    with pytest.raises(InvalidInput) as refused:
        publish(prices)
    return refused.value.code


def test_the_list_prices_every_meter_from_the_first_day() -> None:
    coverage_check([(p.meter, match_of(p.match)) for p in PRICES])
    with system_scope():
        assert set(Price.objects.values_list("meter", flat=True)) == set(METERS)
        assert price_books_ensure().id == LIST_BOOK
        assert PriceBookVersion.objects.get().id == FIRST_VERSION


def test_a_published_version_holds_from_now_and_leaves_a_trace() -> None:
    tenant = tenant_make()
    before = unit_of(tenant, "tokens.input")
    version = publish(prices_with(tokens_input=STANDARD))
    assert unit_of(tenant, "tokens.input") != before
    assert unit_of(tenant, "tokens.input", version.valid_from - SOON) == before
    with system_scope():
        entry = AuditEntry.objects.get(action="price_version.publish")
        assert (entry.target, entry.actor_id) == (version.id, "user_op")
        event = OutboxEvent.objects.get(name="price.changed")
        assert event.payload["version_id"] == version.id


def test_a_version_of_tomorrow_waits() -> None:
    tenant = tenant_make()
    before = unit_of(tenant, "tokens.input")
    publish(prices_with(tokens_input=STANDARD), valid_from=now() + SOON)
    assert unit_of(tenant, "tokens.input") == before
    assert unit_of(tenant, "tokens.input", now() + 2 * SOON) != before


def test_the_most_specific_price_applies() -> None:
    dear = NewPrice("tokens.input", "tokens", {"model": "standard", "unit": "2"}, {"base": "big"})
    dearer = NewPrice(
        "tokens.input", "tokens", {"model": "standard", "unit": "3"}, {"base": "big", "model": "x"}
    )
    publish([*prices_with(), dear, dearer])
    tenant = tenant_make()
    small, big, own = (
        unit_of(tenant, "tokens.input", base=base, model=model)
        for base, model in (("small", "y"), ("big", "y"), ("big", "x"))
    )
    assert [getattr(model, "unit", None) for model in (small, big, own)] == [D("0.60"), 2, 3]


def test_a_matrix_prices_each_cell() -> None:
    cells = [
        {"values": ["big", "lora"], "charge": {"model": "standard", "unit": "7"}},
        {"values": ["big", "full"], "charge": {"model": "standard", "unit": "9"}},
    ]
    charge = {"model": "matrix", "dimensions": ["base", "method"], "cells": cells}
    publish([*prices_with(), NewPrice("tokens.trained", "training", charge)])
    tenant = tenant_make()
    assert unit_of(tenant, "tokens.trained", base="big", method="full").unit == 9  # type: ignore[attr-defined]
    assert unit_of(tenant, "tokens.trained", base="big").unit == 4  # type: ignore[attr-defined]


def test_a_meter_without_a_price_is_a_gap() -> None:
    assert code_of([p for p in prices_with() if p.meter != "storage.gb_hours"]) == "price_gap"
    only_for_one = [
        NewPrice(p.meter, p.revenue, p.charge, {"base": "mini"} if p.meter == "requests" else {})
        for p in prices_with()
    ]
    assert code_of(only_for_one) == "price_gap"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({"base": "a"}, {"base": "a"}),
        ({"base": "a"}, {"model": "m"}),
        ({"base": "a", "model": "m"}, {"base": "a", "batch": "true"}),
    ],
)
def test_two_equally_specific_prices_overlap(first: Any, second: Any) -> None:
    doubled = [NewPrice("tokens.input", "tokens", STANDARD, m) for m in (first, second) if m]
    doubled += [NewPrice("tokens.input", "tokens", STANDARD)] if not first else []
    assert code_of([*prices_with(), *doubled]) == "price_overlap"


def test_prices_that_a_dimension_tells_apart_do_not_overlap() -> None:
    apart = [NewPrice("tokens.input", "tokens", STANDARD, {"base": b}) for b in ("a", "b")]
    assert publish([*prices_with(), *apart]).published_at is not None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"meter": "tokens.dreamt"}, "unknown_meter"),
        ({"charge": {"model": "standard", "unit": "-1"}}, "invalid_price"),
        ({"charge": {"model": "standard", "unit": "NaN"}}, "invalid_price"),
        ({"charge": {"model": "standard", "unit": "Infinity"}}, "invalid_price"),
        ({"match": {"region": "eu"}}, "invalid_price"),
        ({"match": {"api_key_id": "key_1"}}, "invalid_price"),
        ({"revenue": "tips"}, "invalid_value"),
    ],
)
def test_a_price_that_makes_no_sense_is_not_even_drafted(
    changes: dict[str, Any], code: str
) -> None:
    fields = {"meter": "tokens.input", "revenue": "tokens", "charge": STANDARD, **changes}
    with pytest.raises(InvalidInput) as refused:
        draft([NewPrice(**fields)])
    assert refused.value.code == code


def test_a_version_in_another_currency_than_its_book_is_refused() -> None:
    version = draft(prices_with())
    actor = operator_make()
    with system_scope():
        with pytest.raises(InvalidInput) as refused:
            price_version_publish(actor=actor, version_id=version.id, currency="EUR")
    assert refused.value.code == "currency_mismatch"


def test_the_past_keeps_its_prices_and_versions_follow_in_order() -> None:
    actor = operator_make()
    with pytest.raises(InvalidInput):
        publish(prices_with(), valid_from=now() - SOON)
    publish(prices_with(), valid_from=now() + 2 * SOON)
    with pytest.raises(InvalidInput) as refused:
        publish(prices_with(), valid_from=now() + SOON)
    assert refused.value.code == "price_overlap"
    published = publish(prices_with(), valid_from=now() + 3 * SOON)
    with system_scope():
        with pytest.raises(Conflict):
            price_version_publish(actor=actor, version_id=published.id)
        with pytest.raises(NotFound):
            price_version_publish(actor=actor, version_id="bookv_none")


def test_only_operators_set_prices_and_only_as_the_system() -> None:
    tenant = tenant_make()
    owner = Actor(ActorKind.MEMBER, "user_1", tenant, frozenset({"billing.write"}))
    calls: list[tuple[Any, dict[str, Any]]] = [
        (price_book_create, {"name": "mine"}),
        (price_version_draft, {"book_id": LIST_BOOK, "prices": prices_with()}),
        (price_version_publish, {"version_id": FIRST_VERSION}),
        (fx_rate_set, {"base": "USD", "quote": "EUR", "rate": D("0.9")}),
        (
            price_override_grant,
            {"meter": "tokens.input", "reason": "because I can", "expires_at": now() + SOON,
             "tenant_id": tenant},
        ),
    ]  # fmt: skip
    operator = operator_make()
    for service, fields in calls:
        with system_scope():
            with pytest.raises(PermissionDenied):
                service(actor=owner, **fields)
        with tenant_scope(tenant):
            with pytest.raises(ScopeError):
                service(actor=operator, **fields)


def test_the_database_itself_lets_no_tenant_write_prices() -> None:
    tenant = tenant_make()
    with tenant_scope(tenant):
        for statement in (
            "UPDATE price SET charge = '{}'",
            "DELETE FROM price_book_version",
            "INSERT INTO fx_rate (base, quote, rate, valid_from) VALUES ('A', 'B', 1, now())",
            "UPDATE contract SET discount = 1",
            "SELECT count(*) FROM price_override",
        ):
            with pytest.raises(DatabaseError), transaction.atomic("default"):
                connections["default"].cursor().execute(statement)


def test_a_customers_own_book_is_seen_by_nobody_else() -> None:
    tenant, other = tenant_make(), tenant_make("Other")
    actor = operator_make()
    with system_scope():
        book = price_book_create(actor=actor, name="Acme's", tenant_id=tenant)
    publish(prices_with(tokens_input=STANDARD), book_id=book.id)
    with tenant_scope(other):
        assert list(PriceBook.objects.values_list("id", flat=True)) == [LIST_BOOK]
        assert set(Price.objects.values_list("version__book_id", flat=True)) == {LIST_BOOK}
    with tenant_scope(tenant):
        assert PriceBook.objects.count() == 2
    with pytest.raises(NotFound):
        contract_make(other, book_id=book.id)
    contract_make(tenant, book_id=book.id)
    assert unit_of(tenant, "tokens.input").unit == 1  # type: ignore[attr-defined]
    assert unit_of(other, "tokens.input").unit == D("0.60")  # type: ignore[attr-defined]


def test_a_following_contract_moves_with_its_book_and_a_pinned_one_does_not() -> None:
    following, pinned = tenant_make("Follows"), tenant_make("Pinned")
    contract_make(following, credit_limit=D(5))
    contract_make(pinned, pinned_version_id=FIRST_VERSION)
    publish(prices_with(tokens_input=STANDARD))
    assert unit_of(following, "tokens.input").unit == 1  # type: ignore[attr-defined]
    assert unit_of(pinned, "tokens.input").unit == D("0.60")  # type: ignore[attr-defined]


def test_a_months_cards_cover_it_without_a_gap() -> None:
    tenant = tenant_make()
    for _ in range(2):
        publish(prices_with(tokens_input=STANDARD))
    contract_make(tenant, discount=D("0.1"))
    period = period_of(now())
    with tenant_scope(tenant):
        terms = tenant_terms([tenant], [period])[tenant, period]
    cards = terms.cards
    assert [c.ends for c in cards[:-1]] == [c.starts for c in cards[1:]]
    assert (cards[0].starts.day, cards[-1].ends) == (1, cards[0].starts.replace(
        year=period.year + period.month // 12, month=period.month % 12 + 1))  # fmt: skip
    assert [(bool(c.contract_id), c.discount) for c in cards][-1] == (True, D("0.1"))
    assert len({c.version_id for c in cards}) == 3


@pytest.mark.parametrize("rate", ["0", "-1", "NaN", "Infinity", "0.0000000000001"])
def test_an_exchange_rate_is_a_number_above_zero(rate: str) -> None:
    actor = operator_make()
    with system_scope():
        with pytest.raises(InvalidInput):
            fx_rate_set(actor=actor, base="USD", quote="EUR", rate=D(rate))
