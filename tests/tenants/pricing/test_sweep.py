"""The sweep: what others counted is charged once, on its day, whoever sweeps how often."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal

import pytest
from django.db import connections

from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.selectors import unbalanced, wallet_balance
from tenants.pricing.cards import month_bounds, period_of
from tenants.pricing.models import Charge, ChargeLine, Contract, PriceBook, PriceBookVersion
from tenants.pricing.rating import KeyTotal
from tenants.pricing.selectors import period_charged, period_counted, period_facts, uncharged
from tenants.pricing.services import usage_sweep
from tests.tenants.pricing.books import (
    charge,
    contract_make,
    count,
    item,
    platform_make,
    prices_with,
    publish,
    tenant_make,
)
from tests.tenants.pricing.factories import D

pytestmark = pytest.mark.django_db

STORAGE = {"storage_gb_hours": {"model": "standard", "unit": "0.01"}}
MICROSECOND = dt.timedelta(microseconds=1)


@pytest.fixture
def tenant() -> str:
    platform_make()
    publish(prices_with(**STORAGE))
    return tenant_make(credit="100")


def swept(tenant_id: str) -> list[tuple[str, str, Decimal, Decimal]]:
    with system_scope():
        rows = ChargeLine.objects.filter(tenant_id=tenant_id, charge__subject_kind="sweep")
        found = rows.order_by("id").values_list("meter", "model", "quantity", "net")
        return [(meter, model, quantity, net) for meter, model, quantity, net in found]


def left(tenant_id: str) -> Decimal:
    with tenant_scope(tenant_id):
        return wallet_balance(tenant_id=tenant_id, currency="USD").available.amount


def nothing_is_uncharged(*tenant_ids: str) -> bool:
    with system_scope():
        return not uncharged(tenant_ids, period_of(now())) and not unbalanced()


def test_what_was_counted_is_charged_once(tenant: str) -> None:
    count(tenant, "storage.gb_hours", "150")
    assert usage_sweep() == 1
    assert swept(tenant) == [("storage.gb_hours", "", 150, D("1.5"))]
    assert usage_sweep() == 0
    count(tenant, "storage.gb_hours", "50.5")
    assert usage_sweep() == 1
    assert swept(tenant)[1:] == [("storage.gb_hours", "", D("50.5"), D("0.505"))]
    assert left(tenant) == D("97.995")
    assert nothing_is_uncharged(tenant)


def test_what_was_charged_at_once_is_left_alone(tenant: str) -> None:
    count(tenant, "tokens.input", 1_000_000, source="gateway", model="mini", base="mini")
    charge(tenant, "r", item("tokens.input", 1_000_000))
    assert usage_sweep() == 0
    assert left(tenant) == D("99.4")


def test_events_from_outside_land_on_their_model_and_caller(tenant: str) -> None:
    at = now()
    for model, key, tokens in (("m1", "key_1", 10), ("m1", "key_2", 20), ("m2", "key_1", 40)):
        count(tenant, "tokens.output", tokens * 100_000, at=at, source="partner", model=model,
              base="mini", api_key_id=key)  # fmt: skip
    usage_sweep()
    with system_scope():
        lines = ChargeLine.objects.filter(tenant_id=tenant)
        found = {(line.model, line.api_key_id): line.net for line in lines}
        assert {line.day for line in lines} == {at.date()}
    assert found == {
        ("m1", "key_1"): D("1.8"),
        ("m1", "key_2"): D("3.6"),
        ("m2", "key_1"): D("7.2"),
    }
    count(tenant, "tokens.output", 500_000, at=at, source="partner", model="m2", base="mini",
          api_key_id="key_1")  # fmt: skip
    usage_sweep()
    assert swept(tenant)[3:] == [("tokens.output", "m2", 500_000, D("0.9"))]


def test_each_tenant_pays_for_its_own(tenant: str) -> None:
    other = tenant_make("Other", credit="10")
    count(tenant, "storage.gb_hours", "100")
    count(other, "storage.gb_hours", "300")
    assert usage_sweep() == 2
    assert (left(tenant), left(other)) == (99, 7)


def test_what_cannot_be_charged_keeps_nobody_else(tenant: str) -> None:
    """What a customer sends from outside may be anything that a number can say."""
    first, last = tenant_make(), tenant_make(credit="100")
    publish(prices_with(**STORAGE, plugin_units={"model": "standard", "unit": "0.01"}))
    assert sorted([tenant, first, last]) == [tenant, first, last]
    for owner in (tenant, last):
        count(owner, "storage.gb_hours", 3)
    count(first, "plugin.units", 10**18 - 1, source="external", plugin="p")
    assert usage_sweep() == 2
    assert swept(first) == []
    assert usage_sweep() == 0


def test_who_has_no_price_for_what_it_counted_keeps_nobody_else(tenant: str) -> None:
    """A pinned book, say, from before there was a meter."""
    other = tenant_make(credit="100")
    month = month_bounds(period_of(now()))[0]
    with system_scope():
        book = PriceBook.objects.create(id="book_old", name="Old", currency="USD")
        PriceBookVersion.objects.create(
            id="bookv_old", book=book, number=1, valid_from=month, published_at=month
        )
        Contract.objects.create(
            id="contract_old", tenant_id=other, book=book, starts=month, currency="USD"
        )
    for owner in (tenant, other):
        count(owner, "storage.gb_hours", 3)
    assert usage_sweep() == 1
    assert swept(other) == []


def test_an_earlier_months_events_are_left_to_billing(tenant: str) -> None:
    count(tenant, "storage.gb_hours", "100", at=month_bounds(period_of(now()))[0] - MICROSECOND)
    assert usage_sweep() == 0
    with system_scope():
        assert Charge.objects.count() == 0


def test_a_price_that_changed_in_mid_hour_parts_that_hours_events(tenant: str) -> None:
    count(tenant, "storage.gb_hours", "100")
    version = publish(prices_with(storage_gb_hours={"model": "standard", "unit": "0.03"}))
    count(tenant, "storage.gb_hours", "10")
    usage_sweep()
    assert sorted(net for *_, net in swept(tenant)) == [D("0.3"), D(1)]
    with system_scope():
        period = period_of(now())
        counted = period_counted([tenant], period)[tenant]
        assert KeyTotal("storage.gb_hours", version.id, "", D(10)) in counted
        assert counted == period_charged([tenant], period)[tenant]
        facts = period_facts(tenant, period, currency="USD")
        assert sorted(facts.totals, key=str) == sorted(counted, key=str)


def test_a_contracts_discount_holds_from_its_start(tenant: str) -> None:
    count(tenant, "storage.gb_hours", "100")
    contract_make(tenant, discount=D("0.5"))
    count(tenant, "storage.gb_hours", "100")
    usage_sweep()
    assert left(tenant) == D("98.5")
    assert nothing_is_uncharged(tenant)


def test_four_sweeps_at_once_charge_once(tenant: str) -> None:
    others = [tenant_make(f"T{n}", credit="10") for n in range(3)]
    for one in (tenant, *others):
        count(one, "storage.gb_hours", "100")
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def sweep() -> None:
        try:
            start.wait()
            usage_sweep()
        except BaseException as error:  # noqa: BLE001 -- told in the main thread
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [left(one) for one in (tenant, *others)] == [99, 9, 9, 9]
    assert nothing_is_uncharged(tenant, *others)
