"""Paying partners: all that is available, once, to an account that may be paid."""

from __future__ import annotations

import pytest

from tenants.billing.payouts import Part
from tenants.billing.selectors.partners import partner_balance
from tenants.billing.services.payouts import partner_pay
from tenants.billing.stripe.amounts import of_stripe
from tenants.billing.stripe.models import StripeCall
from tenants.billing.stripe.payer import StripePayer
from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tenants.kernel.errors import Conflict, InvalidInput, PermissionDenied
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.ledger.chart import AccountKind
from tests.tenants.accounts.factories import SignedUp, owner_of
from tests.tenants.billing.factories import operator_of
from tests.tenants.billing.stripe.ending import books
from tests.tenants.billing.stripe.flows import earned, onboard
from tests.tenants.billing.stripe.world import (
    World,
    object_id,
    payment_of,
    topped_up,
    without_webhooks,
)

pytestmark = pytest.mark.django_db


def usd(amount: str) -> Money:
    return Money.of(amount, "USD")


def pay(tenant: SignedUp, key: str = "november", *sources: Part) -> Money:
    with system_scope():
        return partner_pay(
            actor=operator_of(tenant.tenant.id), currency="USD", key=key, sources=sources
        )


def available(tenant: SignedUp) -> Money:
    with system_scope():
        return partner_balance(tenant.tenant.id, AccountKind.PARTNER_AVAILABLE, "USD")


@pytest.fixture
def partner(world: World, tenant: SignedUp) -> SignedUp:
    """A partner that may be paid, and has earned 60; we have what a customer paid, pending."""
    onboard(tenant)
    world.settle()
    world.control.onboard(object_id(tenant, "account"))
    topped_up(world, tenant, "100")
    earned(tenant, "60")
    return tenant


def test_a_payout_is_made_once_for_its_key(world: World, partner: SignedUp) -> None:
    world.control.advance(days=3)
    assert pay(partner) == usd("60")
    assert pay(partner) == usd("60")
    world.settle()
    (made,) = world.api.v1.transfers.list().data
    assert (made.amount, made.transfer_group) == (6000, "november")
    assert available(partner).amount == 0
    assert pay(partner, "december").amount == 0


def test_out_of_a_payment_it_need_not_be_available(world: World, partner: SignedUp) -> None:
    pay(partner, "november", Part(usd("60"), payment_of(partner).id))
    world.settle()
    (made,) = world.api.v1.transfers.list().data
    assert made.source_transaction == object_id(partner, "charge")


def test_sources_beyond_what_was_earned_are_refused(world: World, partner: SignedUp) -> None:
    with pytest.raises(InvalidInput, match=r"more than the 60\.00 USD available"):
        pay(partner, "november", Part(usd("61"), payment_of(partner).id))
    assert available(partner) == usd("60")


def test_who_cannot_be_paid_yet_is_told_what_is_missing(world: World, tenant: SignedUp) -> None:
    earned(tenant, "60")
    with pytest.raises(Conflict, match="no account"):
        pay(tenant)
    onboard(tenant)
    world.settle()
    with pytest.raises(Conflict, match="external_account"):
        pay(tenant)
    assert available(tenant) == usd("60")


@pytest.mark.parametrize(
    ("currency", "earnings", "paid"),
    [("USD", "60.016", "60.01"), ("JPY", "6000.9", "6000"), ("KWD", "20.127", "20.12")],
)
def test_no_more_is_paid_than_is_available_and_the_rest_stays(
    world: World, tenant: SignedUp, currency: str, earnings: str, paid: str
) -> None:
    topped_up(
        world, tenant, "9000" if currency == "JPY" else "90", currency, "pm_card_bypassPending"
    )
    onboard(tenant)
    world.settle()
    world.control.onboard(object_id(tenant, "account"))
    world.settle()
    earned(tenant, earnings, currency)
    with system_scope():
        moved = partner_pay(actor=operator_of(tenant.tenant.id), currency=currency, key="now")
        left = partner_balance(tenant.tenant.id, AccountKind.PARTNER_AVAILABLE, currency)
    assert (moved, left) == (Money.of(paid, currency), Money.of(earnings, currency) - moved)
    world.settle()
    (made,) = world.api.v1.transfers.list().data
    assert of_stripe(made.amount, made.currency) == moved


def taken_back(tenant: SignedUp, amount: str, key: str) -> Money:
    with system_scope():
        return StripePayer().take_back(tenant.tenant.id, usd(amount), key=key)


def test_what_is_taken_back_is_taken_once_for_its_key_and_no_more_than_was_paid(
    world: World, partner: SignedUp
) -> None:
    world.control.advance(days=3)
    pay(partner)
    world.settle()
    earned(partner, "30")
    pay(partner, "december")
    world.settle()
    assert taken_back(partner, "50", "wrong") == usd("50")
    assert taken_back(partner, "50", "wrong") == usd("50")  # before it was done
    with without_webhooks(world):
        world.settle()
        assert taken_back(partner, "50", "also wrong") == usd("40")  # all that is left
    world.settle()
    assert taken_back(partner, "50", "wrong") == usd("50")  # and after it was
    world.settle()
    assert sorted(row.amount_reversed for row in world.api.v1.transfers.list().data) == [3000, 6000]
    assert stripe_reconcile().differences == ()
    assert books()["partner_receivable  USD"] == -90
    with system_scope():
        assert not StripeCall.objects.filter(state="refused").exists()


def test_a_partner_does_not_pay_itself(world: World, partner: SignedUp) -> None:
    with system_scope(), pytest.raises(PermissionDenied):
        partner_pay(actor=owner_of(partner), currency="USD", key="now")
