"""Currencies of no and of three decimals, of which cards take two: from end to end."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.billing.models import Invoice
from tenants.billing.periods import Period
from tenants.billing.services.credit_notes import credit_note_issue
from tenants.billing.services.payments import payment_receive
from tenants.billing.services.tax import NewProfile, tax_profile_set, tax_rate_set, taxes_apply
from tenants.billing.states import InvoiceState
from tenants.billing.stripe.models import StripeVisit
from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tenants.billing.stripe.services.subscriptions import subscription_start
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.pricing.models import FxRate
from tests.tenants.accounts.factories import SignedUp
from tests.tenants.billing.factories import (
    MARCH,
    contract,
    invoice_of,
    operator_of,
    stated,
    system_of,
)
from tests.tenants.billing.stripe.ending import books
from tests.tenants.billing.stripe.flows import pay_on_page
from tests.tenants.billing.stripe.world import World, card_saved, object_id, payment_of, topped_up

pytestmark = pytest.mark.django_db
D = Decimal
MONTH = Period.of(dt.datetime.now(dt.UTC))


@pytest.mark.parametrize(
    ("currency", "wish", "rate", "paid"),
    [
        ("KWD", "10.03", "0.05", "10.54"),
        ("JPY", "1001", "0.1", "1101"),
        ("USD", "9.99", "0.07", "10.69"),
    ],
)
def test_a_top_up_with_its_tax_is_rounded_up_to_what_a_card_takes(
    world: World, tenant: SignedUp, currency: str, wish: str, rate: str, paid: str
) -> None:
    with system_scope():
        tax_rate_set(
            actor=system_of(tenant.tenant.id),
            jurisdiction="DE",
            name="Tax",
            rate=D(rate),
            valid_from=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        )
        profile = NewProfile(country="DE", tax_point="top_up")
        tax_profile_set(actor=operator_of(tenant.tenant.id), profile=profile)
    taxes_apply()
    visit = topped_up(world, tenant, wish, currency)
    assert visit.state == StripeVisit.State.DONE
    assert payment_of(tenant).amount == D(paid)
    assert stripe_reconcile().differences == ()


@pytest.mark.parametrize("currency", ["KWD", "JPY", "USD"])
def test_a_plan_that_begins_within_a_month_is_paid_in_what_a_card_takes(
    world: World, tenant: SignedUp, currency: str
) -> None:
    card_saved(world, tenant)
    starts = MONTH.start + dt.timedelta(seconds=777)
    contract(tenant.tenant.id, starts=starts, plan_fee=D("5000.001"), currency=currency)
    with system_scope():
        subscription_start(actor=operator_of(tenant.tenant.id))
    world.settle()
    fee = -books()[f"revenue plan {currency}"]
    step = D(1) if currency == "JPY" else D("0.01")
    assert abs(payment_of(tenant).amount - fee) < step
    assert payment_of(tenant).amount % step == 0
    assert stripe_reconcile().differences == ()


def owed(tenant: SignedUp) -> Invoice:
    """An invoice of March over 10.505 KWD."""
    with system_scope():
        FxRate.objects.create(base="USD", quote="KWD", rate=D("0.3"), valid_from=MARCH.start)
    contract(tenant.tenant.id, plan_fee=D("10.505"), currency="KWD")
    return stated(tenant.tenant.id, MARCH)


def theirs(world: World, tenant: SignedUp) -> tuple[str, int]:
    found = world.api.v1.invoices.retrieve(object_id(tenant, "invoice"))
    return str(found.status), found.amount_remaining


def test_what_is_too_fine_for_a_card_is_given_back_as_its_finding_says(
    world: World, tenant: SignedUp
) -> None:
    bill = owed(tenant)
    world.settle()
    assert theirs(world, tenant) == ("open", 10_500)
    pay_on_page(world, bill)
    world.settle()
    with system_scope():
        credit_note_issue(
            actor=operator_of(tenant.tenant.id), invoice_id=bill.id, key="fine", reason="too fine",
            to="wallet", lines={bill.lines.get().id: D("0.005")},
        )  # fmt: skip
    world.settle()
    assert invoice_of(tenant.tenant.id, MARCH).state == InvoiceState.PAID
    assert stripe_reconcile().differences == ()


def test_a_bank_transfer_may_be_finer_than_a_card(world: World, tenant: SignedUp) -> None:
    bill = owed(tenant)
    world.settle()
    for number, amount in enumerate(("4.003", "0.002")):
        with system_scope():
            payment_receive(
                actor=operator_of(tenant.tenant.id),
                provider="manual",
                external_id=f"bank {number}",
                amount=Money.of(amount, "KWD"),
                invoice_id=bill.id,
            )
        world.settle()
    assert theirs(world, tenant) == ("open", 6_500)
    pay_on_page(world, bill)
    world.settle()
    assert invoice_of(tenant.tenant.id, MARCH).state == InvoiceState.PAID
    assert stripe_reconcile().differences == ()
