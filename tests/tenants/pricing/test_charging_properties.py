"""Charging under prices with tiers and free units: cut as you like, sum the same; at once, too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from decimal import Decimal

import psycopg
import pytest
from django.db import connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.selectors import unbalanced, wallet_balance
from tenants.pricing.cards import period_of
from tenants.pricing.charge_models import amount
from tenants.pricing.charging import Charged, ChargeRequest, charging_group
from tenants.pricing.drivers import program_run_async
from tenants.pricing.exact import round12
from tenants.pricing.models import ChargeLine, PeriodTotal
from tenants.pricing.rating import rate
from tenants.pricing.selectors import period_charged, period_facts
from tenants.pricing.services import usage_charge
from tests.tenants.pricing.books import (
    charge,
    contract_make,
    item,
    platform_make,
    prices_with,
    publish,
    request,
    tenant_make,
)
from tests.tenants.pricing.factories import D, model, tiers
from workers.serving.gateway.database import conninfo

pytestmark = pytest.mark.django_db

TIERS = {
    "model": "graduated",
    "per": "1000",
    "allowance": "500",
    "tiers": tiers(("1000", "0.7"), ("5000", "0.33"), (None, "0.1")),
}
GRADUATED = model("graduated", **{name: v for name, v in TIERS.items() if name != "model"})


def charged_sum(tenant_id: str) -> Decimal:
    with tenant_scope(tenant_id):
        return sum(ChargeLine.objects.values_list("net", flat=True), D(0))


@given(parts=st.lists(st.lists(st.integers(0, 4000), min_size=1, max_size=4), max_size=5))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_tiers_and_free_units_sum_to_the_whole_however_usage_is_cut(
    graduated: None, parts: list[list[int]]
) -> None:
    tenant = tenant_make(credit="1000")
    for number, quantities in enumerate(parts):
        charge(tenant, f"k{number}", *(item("tokens.input", q, base="b") for q in quantities))
    whole = sum(sum(quantities) for quantities in parts)
    assert charged_sum(tenant) == round12(amount(GRADUATED, D(whole)))
    with tenant_scope(tenant):
        wallet = wallet_balance(tenant_id=tenant, currency="USD")
        totals = PeriodTotal.objects.values_list("quantity", "amount")
        assert list(totals) == ([(whole, charged_sum(tenant))] if parts else [])
    assert wallet.available.amount == 1000 - charged_sum(tenant)


@pytest.fixture
def graduated() -> None:
    platform_make()
    publish(prices_with(tokens_input=TIERS))


def test_what_was_charged_is_what_the_statement_rates(graduated: None) -> None:
    """Over a change of price and of contract in mid-month, in events out of order."""
    tenant = tenant_make(credit="1000")
    charge(tenant, "a", item("tokens.input", 900))
    first = now()
    publish(prices_with(tokens_input={"model": "standard", "unit": "0.9", "per": "1000"}))
    charge(tenant, "b", item("tokens.input", 700))
    contract_make(tenant, discount=D("0.125"))
    charge(tenant, "c", item("tokens.input", 1100), item("tokens.output", 333_333))
    charge(tenant, "late", item("tokens.input", 800, first))
    period = period_of(now())
    with system_scope():
        totals = period_charged([tenant], period)[tenant]
        rated = rate(period_facts(tenant, period, currency="USD", totals=totals))
    assert charged_sum(tenant) == sum((line.exact for line in rated.lines), D(0))
    assert len({line.version_id for line in rated.lines}) == 2


def test_a_falling_volume_price_charges_nothing_more_and_leaves_the_rest_to_the_statement() -> None:
    platform_make()
    volume = {"model": "volume", "tiers": tiers(("100", "1"), (None, "0.5"))}
    publish(prices_with(tokens_input=volume))
    tenant = tenant_make(credit="1000")
    nets = [charge(tenant, f"k{n}", item("tokens.input", 60)).net.amount for n in range(4)]
    assert nets == [60, 0, 30, 30]  # 60, then 120 x 0.5 = 60, 180 x 0.5 = 90, 240 x 0.5 = 120


# the other driver -----


def charged_by_gateway(requests: Sequence[ChargeRequest]) -> list[Charged]:
    async def run() -> list[Charged]:
        async with await psycopg.AsyncConnection.connect(conninfo()) as connection:
            return await program_run_async(connection, charging_group(requests))

    return asyncio.run(run())


def test_both_drivers_charge_the_same(graduated: None) -> None:
    ours, theirs = tenant_make("Ours", credit="100"), tenant_make("Theirs", credit="100")
    at = now()

    def requests(tenant_id: str) -> list[ChargeRequest]:
        return [
            request(tenant_id, "a", item("tokens.input", 1200, at), item("tokens.output", 7, at)),
            request(tenant_id, "b", item("tokens.input", 4000, at), bound=Money(D("0.9"), "USD")),
        ]

    answers = charged_by_gateway(requests(ours))
    assert [a.net.amount for a in answers] == [
        charge_one(theirs, one).net.amount for one in requests(theirs)
    ]
    assert all(a.repeated for a in charged_by_gateway(requests(ours)))
    assert charged_sum(ours) == charged_sum(theirs)
    with system_scope():
        assert unbalanced() == []


def charge_one(tenant_id: str, one: ChargeRequest) -> Charged:
    with tenant_scope(tenant_id):
        return usage_charge(tenant_id=tenant_id, request=one)


def test_the_gateway_is_told_the_ledgers_refusals(graduated: None) -> None:
    tenant = tenant_make(credit="100")
    charge(tenant, "a", item("tokens.input", 900))
    with pytest.raises(Conflict):
        charged_by_gateway([request(tenant, "a", item("tokens.input", 901))])


# at once -----


def at_once(works: Sequence[object], clients: int) -> list[BaseException]:
    """Call each of `works` once, by `clients` threads that begin together."""
    waiting, failures = list(works), []
    lock, start = threading.Lock(), threading.Barrier(clients)

    def client() -> None:
        try:
            start.wait()
            while True:
                with lock:
                    if not waiting:
                        return
                    work = waiting.pop()
                work()  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 -- told in the main thread
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_many_clients_of_one_wallet_pay_the_price_of_the_whole(graduated: None) -> None:
    """Without the lock two would begin from the same total, and both pay the dearer tier."""
    tenant = tenant_make(credit="1000")
    works = [
        lambda n=n: charge(tenant, f"k{n % 30}", item("tokens.input", 100 + n % 30))
        for n in range(60)  # each key twice
    ]
    assert at_once(works, clients=8) == []
    whole = sum(100 + n for n in range(30))
    assert charged_sum(tenant) == round12(amount(GRADUATED, D(whole)))
    with tenant_scope(tenant):
        assert ChargeLine.objects.count() == 30


def test_groups_with_the_same_tenants_in_other_orders_do_not_lock_each_other_out(
    graduated: None,
) -> None:
    tenants = [tenant_make(f"T{n}", credit="100") for n in range(4)]
    at = now()

    def group(turn: int) -> None:
        order = tenants[turn % 4 :] + tenants[: turn % 4]
        charged_by_gateway([request(t, new_id("k-"), item("tokens.input", 500, at)) for t in order])

    assert at_once([lambda n=n: group(n) for n in range(24)], clients=6) == []
    assert {charged_sum(t) for t in tenants} == {round12(amount(GRADUATED, D(24 * 500)))}
