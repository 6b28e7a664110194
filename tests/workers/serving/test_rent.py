"""Awake deployments whose hours have a price: held for the next hour, charged, or put to sleep."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from tenants.kernel.clock import now
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.models import Hold
from tenants.ledger.selectors import holds_open, wallet_balance
from tenants.ledger.services import hold_place
from tenants.pricing.cards import month_bounds, period_of
from tenants.pricing.models import Charge, Contract, PeriodTotal, PriceBook, PriceBookVersion
from tenants.pricing.services import fx_rate_set
from tenants.pricing.services.books import NewPrice
from tenants.usage.meters import METERS
from tenants.usage.models import UsageEvent
from tests.tenants.pricing.books import operator_make, prices_with, publish
from tests.workers.serving.factories import Customer, copied, customer, text_base, version_of
from workers.serving.metering import HOUR, deployments_meter
from workers.serving.models import Deployment, MeterWatermark, ReadySpan
from workers.serving.moves import deployment_move
from workers.serving.rent import deployments_hold
from workers.serving.services import deployment_create, deployment_sleep

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Customer:
    return customer()


@pytest.fixture
def awake(acme: Customer, tiny: Path, tmp_path: Path) -> Deployment:
    version = version_of(acme, text_base(tiny), copied(tiny, tmp_path / "v"), kind="full")
    with tenant_scope(acme.tenant_id):
        row = deployment_create(actor=acme.actor, model=version.name)
        deployment_move(row, Deployment.State.READY, wanted_until=now() + HOUR)
    return row


def priced(amount: str) -> None:
    """The list asks `amount` for a ready hour, from now on."""
    free = {"model": "standard", "unit": "0"}
    prices = prices_with(deployment_hours={"model": "standard", "unit": amount})
    unpriced = METERS.keys() - {price.meter for price in prices}
    publish(prices + [NewPrice(meter, "services", free, {}) for meter in sorted(unpriced)])


def left(owner: Customer) -> list[Decimal]:
    with tenant_scope(owner.tenant_id):
        return [hold.left for hold in holds_open(tenant_id=owner.tenant_id)]


def available(owner: Customer) -> Decimal:
    with tenant_scope(owner.tenant_id):
        return wallet_balance(tenant_id=owner.tenant_id, currency="USD").available.amount


def test_hours_that_cost_nothing_hold_nothing(acme: Customer, awake: Deployment) -> None:
    assert deployments_hold() == 0
    assert left(acme) == []


def test_the_next_hour_is_held_until_it_sleeps(acme: Customer, awake: Deployment) -> None:
    priced("0.5")
    assert deployments_hold() == 0
    assert deployments_hold() == 0
    assert left(acme) == [Decimal("0.5")]
    with tenant_scope(acme.tenant_id):
        deployment_sleep(actor=acme.actor, deployment_id=awake.id)
    assert (left(acme), available(acme)) == ([], 1000)
    # and another waking has a hold of its own
    with tenant_scope(acme.tenant_id):
        row = Deployment.objects.get()
        deployment_move(row, Deployment.State.WAKING, wanted_until=now() + HOUR)
    deployments_hold()
    assert left(acme) == [Decimal("0.5")]


def test_a_counted_hour_is_charged_from_it_and_it_is_filled_up(
    acme: Customer, awake: Deployment
) -> None:
    priced("0.5")
    deployments_hold()
    begin = now().replace(minute=0, second=0, microsecond=0)
    with system_scope():
        ReadySpan.objects.update(started_at=begin)
        MeterWatermark.objects.create(meter="deployment.hours", until=begin)
    deployments_meter(at=begin + HOUR + dt.timedelta(minutes=6))

    with system_scope():
        (charge,) = Charge.objects.all()
        total = PeriodTotal.objects.get(price_key="deployment.hours")
    assert total.quantity == 1
    assert available(acme) + sum(left(acme)) == 1000 - charge.net
    deployments_hold()
    assert left(acme) == [Decimal("0.5")]


def test_without_credit_for_the_next_hour_it_sleeps_and_says_why(
    acme: Customer, awake: Deployment
) -> None:
    priced("0.5")
    with tenant_scope(acme.tenant_id):
        hold_place(tenant_id=acme.tenant_id, key="rest", amount=Money.of("999.6", "USD"))

    assert deployments_hold() == 1

    with tenant_scope(acme.tenant_id):
        row = Deployment.objects.get()
        assert Hold.objects.count() == 1
    assert row.state == Deployment.State.ASLEEP
    assert "put to sleep" in row.last_error
    assert "0.4" in row.last_error


def test_after_its_contract_goes_on_in_another_currency_it_sleeps_and_others_go_on(
    acme: Customer, awake: Deployment
) -> None:
    priced("0.5")
    deployments_hold()
    with system_scope():
        PriceBookVersion.objects.exclude(number=1).update(valid_from=now() - 2 * HOUR)
        fx_rate_set(actor=operator_make(), base="USD", quote="EUR", rate=Decimal(2))
        Contract.objects.create(
            id="contract_eur",
            tenant_id=acme.tenant_id,
            starts=month_bounds(period_of(now()))[0],
            currency="EUR",
        )
        begin = now().replace(minute=0, second=0, microsecond=0)
        ReadySpan.objects.update(started_at=begin)
        MeterWatermark.objects.create(meter="deployment.hours", until=begin)
    # its hours are counted and charged all the same, without what is held in dollars
    assert deployments_meter(at=begin + HOUR + dt.timedelta(minutes=6)) == 1
    with system_scope():
        assert Charge.objects.get().currency == "EUR"
    assert left(acme) == [Decimal("0.5")]
    # and the next hour is not held for it in a currency that it does not pay in
    assert deployments_hold() == 1
    assert (left(acme), available(acme)) == ([], 1000)
    with tenant_scope(acme.tenant_id):
        assert "EUR" in Deployment.objects.get().last_error


def test_hours_that_cannot_be_charged_are_counted_and_keep_nobody_else(
    acme: Customer, awake: Deployment
) -> None:
    other = customer("rival")
    priced("0.5")
    begin = now().replace(minute=0, second=0, microsecond=0)
    with system_scope():
        PriceBookVersion.objects.exclude(number=1).update(valid_from=now() - 2 * HOUR)
        theirs = Deployment.objects.get(pk=awake.pk)
        theirs.pk, theirs.tenant_id, theirs.target = "dep_other", other.tenant_id, "other"
        theirs.save(force_insert=True)
        ReadySpan.objects.update(started_at=begin)
        ReadySpan.objects.create(
            tenant_id=other.tenant_id, deployment_id="dep_other", started_at=begin
        )
        MeterWatermark.objects.create(meter="deployment.hours", until=begin)
        # a book that lacks the meter, as one that was pinned before there was it
        book = PriceBook.objects.create(id="book_old", name="Old", currency="USD")
        month = month_bounds(period_of(now()))[0]
        PriceBookVersion.objects.create(
            id="bookv_old", book=book, number=1, valid_from=month, published_at=month
        )
        Contract.objects.create(
            id="contract_old", tenant_id=acme.tenant_id, book=book, starts=month, currency="USD"
        )
    assert deployments_meter(at=begin + HOUR + dt.timedelta(minutes=6)) == 2
    with system_scope():
        assert Charge.objects.get().tenant_id == other.tenant_id
        assert UsageEvent.objects.filter(meter="deployment.hours").count() == 2
