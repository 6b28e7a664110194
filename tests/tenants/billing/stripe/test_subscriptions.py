"""A plan's fee by subscription: charged as it is paid, stated once, never collected twice."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.db.models import F

from tenants.accounts.standing import tenant_close
from tenants.billing.models import Invoice
from tenants.billing.periods import Period
from tenants.billing.services.tax import NewProfile, tax_profile_set, tax_rate_set, taxes_apply
from tenants.billing.states import InvoiceState
from tenants.billing.stripe.models import StripeCall, StripeFinding, StripeObject
from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tenants.billing.stripe.selectors import subscription_of
from tenants.billing.stripe.services.endings import collections_end
from tenants.billing.stripe.services.subscriptions import subscription_cancel, subscription_start
from tenants.kernel.errors import Conflict, NotFound, PermissionDenied
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.chart import GrantKind
from tenants.pricing.contract_terms import NewContract
from tenants.pricing.services.contracts import contract_end, contract_write
from tests.stripe_server.faults import What
from tests.tenants.accounts.factories import SignedUp, owner_of
from tests.tenants.billing.factories import (
    contract,
    granted,
    invoice_of,
    operator_of,
    stated,
    system_of,
)
from tests.tenants.billing.stripe.ending import books
from tests.tenants.billing.stripe.world import World, card_saved, object_id, payment_of

pytestmark = pytest.mark.django_db
D = Decimal
MONTH = Period.of(dt.datetime.now(dt.UTC))


def subscribed(world: World, tenant: SignedUp, fee: str = "50", **terms: Decimal) -> str:
    """A customer whose plan fee is collected through Stripe."""
    card_saved(world, tenant)
    contract_id = contract(tenant.tenant.id, plan_fee=D(fee), **terms)
    start(tenant)
    world.settle()
    return contract_id


def month_passes(world: World) -> None:
    """Into the next: its invoice is a draft, and an hour later it is collected."""
    ahead = MONTH.end - dt.datetime.now(dt.UTC)
    world.control.advance(seconds=ahead.total_seconds() + 60)
    world.settle()
    world.control.advance(seconds=3600)
    world.settle()


def start(tenant: SignedUp) -> None:
    with system_scope():
        subscription_start(actor=operator_of(tenant.tenant.id))


def amounts(invoice: Invoice) -> tuple[Decimal, ...]:
    return invoice.total, invoice.prepaid, invoice.due


def test_what_was_paid_in_advance_is_stated_and_not_owed(world: World, tenant: SignedUp) -> None:
    subscribed(world, tenant)
    found = stated(tenant.tenant.id, MONTH)
    assert amounts(found) == (50, 50, 0)
    assert found.state == InvoiceState.PAID
    assert books()["revenue plan USD"] == -50
    assert not any(name.startswith(("grant", "receivable")) for name in books())


def test_allowances_and_promotions_do_not_pay_for_a_plan(world: World, tenant: SignedUp) -> None:
    granted(tenant.tenant.id, "30", GrantKind.PROMOTION)
    subscribed(world, tenant)
    assert books()["grant  USD"] == -30
    assert amounts(stated(tenant.tenant.id, MONTH)) == (50, 50, 0)


def test_a_fee_is_collected_with_its_tax(world: World, tenant: SignedUp) -> None:
    with system_scope():
        tax_rate_set(
            actor=system_of(tenant.tenant.id),
            jurisdiction="DE",
            name="USt",
            rate=D("0.19"),
            valid_from=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        )
    with tenant_scope(tenant.tenant.id):
        tax_profile_set(actor=owner_of(tenant), profile=NewProfile(country="DE"))
    taxes_apply()
    subscribed(world, tenant)
    assert payment_of(tenant).amount == D("59.50")
    found = stated(tenant.tenant.id, MONTH)
    assert (found.net, found.tax, *amounts(found)) == (50, D("9.50"), D("59.50"), D("59.50"), 0)
    assert not any(name.startswith(("grant", "receivable")) for name in books())


def test_each_month_is_collected_on_its_first_day(world: World, tenant: SignedUp) -> None:
    contract_id = subscribed(world, tenant)
    month_passes(world)
    with system_scope():
        rows = StripeObject.objects.filter(kind="invoice", state="paid").order_by("id")
        known = list(rows.values_list("our_id", flat=True))
    assert known == [f"plan:{contract_id}:{month.month:%Y-%m}" for month in (MONTH, MONTH.next())]
    assert books()["revenue plan USD"] == -100


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_plan_is_charged_to_the_card_that_took_the_place_of_its_own(
    world: World, tenant: SignedUp, is_removed: bool
) -> None:
    """A better one is saved; or the one that is charged is removed, and there is one before it."""
    if is_removed:
        card_saved(world, tenant)
    subscribed(world, tenant)
    if is_removed:
        world.api.v1.payment_methods.detach(object_id(tenant, "payment_method"))
    else:
        first = object_id(tenant, "payment_method")
        card_saved(world, tenant, "pm_card_mastercard")
        world.api.v1.payment_methods.detach(first)
    world.settle()
    month_passes(world)
    assert (status(world, tenant), books()["revenue plan USD"]) == ("active", -100)


def test_what_ends_as_the_month_begins_is_not_collected(world: World, tenant: SignedUp) -> None:
    """Stripe has drafted the month's invoice already when it hears of it."""
    subscribed(world, tenant)
    ahead = MONTH.end - dt.datetime.now(dt.UTC)
    world.control.advance(seconds=ahead.total_seconds() + 60)
    with system_scope():
        tenant_close(actor=operator_of(tenant.tenant.id), reason="left")
    world.settle()
    world.control.advance(seconds=7200)
    world.settle()
    plans = {one.billing_reason: one.status for one in world.api.v1.invoices.list().data}
    assert plans["subscription_create"] == "paid"
    assert plans["subscription_cycle"] == "draft"


def test_a_part_of_a_month_too_small_for_a_card_is_left_to_the_months_invoice(
    world: World, tenant: SignedUp
) -> None:
    card_saved(world, tenant)
    at = MONTH.end - dt.timedelta(minutes=1)
    contract(tenant.tenant.id, starts=at, plan_fee=D(50))
    with system_scope():
        subscription_start(actor=operator_of(tenant.tenant.id), now=at)
    world.settle()
    month_passes(world)
    assert payment_of(tenant).amount == 50
    (customer,) = world.api.v1.customers.list().data
    assert customer.balance == 0


def test_an_uncollected_fee_is_on_our_invoice_and_only_there(
    world: World, tenant: SignedUp
) -> None:
    """The card is declined: the month's invoice collects the fee, and Stripe's own is void."""
    card_saved(world, tenant, "pm_card_chargeCustomerFail")
    contract(tenant.tenant.id, plan_fee=D(50))
    start(tenant)
    world.settle()
    theirs = object_id(tenant, "invoice")
    found = stated(tenant.tenant.id, MONTH)
    assert amounts(found) == (50, 0, 50)
    world.settle()
    assert world.api.v1.invoices.retrieve(theirs).status == "void"
    with system_scope():
        mine = StripeObject.objects.get(kind="invoice", our_id=found.id)
    assert (mine.state, mine.amount) == ("open", 50)


def test_an_uncollected_fee_that_credit_pays_is_not_collected_too(
    world: World, tenant: SignedUp
) -> None:
    """Nothing is due on the month's invoice: it never gets to Stripe, whose own one is void."""
    card_saved(world, tenant, "pm_card_chargeCustomerFail")
    contract(tenant.tenant.id, starts=MONTH.start, plan_fee=D(50))
    start(tenant)
    world.settle()
    granted(tenant.tenant.id, "100")
    assert amounts(stated(tenant.tenant.id, MONTH)) == (50, 50, 0)
    world.settle()
    assert [one.status for one in world.api.v1.invoices.list().data] == ["void"]


def test_a_fee_that_is_paid_after_all_is_charged(world: World, tenant: SignedUp) -> None:
    """Its invoice was seen open: the card was declined, and the customer pays on Stripe's page."""
    card_saved(world, tenant, "pm_card_chargeCustomerFail")
    contract(tenant.tenant.id, plan_fee=D(50))
    start(tenant)
    world.settle()
    theirs = object_id(tenant, "invoice")
    world.api.v1.invoices.pay(theirs, {"payment_method": "pm_card_visa"})
    world.settle()
    assert (payment_of(tenant).amount, status(world, tenant)) == (50, "active")
    assert amounts(stated(tenant.tenant.id, MONTH)) == (50, 50, 0)
    assert stripe_reconcile().differences == ()


def test_a_fee_that_is_paid_as_our_invoice_takes_it_over_is_paid_on_that(
    world: World, tenant: SignedUp
) -> None:
    """The month is stated before we hear of it: Stripe's own invoice cannot be void any more."""
    card_saved(world, tenant, "pm_card_chargeCustomerFail")
    contract(tenant.tenant.id, plan_fee=D(50))
    start(tenant)
    world.settle()
    theirs = object_id(tenant, "invoice")
    world.api.v1.invoices.pay(theirs, {"payment_method": "pm_card_visa"})
    found = stated(tenant.tenant.id, MONTH)
    assert amounts(found) == (50, 0, 50)
    world.settle()
    assert invoice_of(tenant.tenant.id, MONTH).state == InvoiceState.PAID
    assert not any(name.startswith(("grant", "receivable")) for name in books())
    assert {one.status for one in world.api.v1.invoices.list().data} == {"paid", "void"}
    assert stripe_reconcile().differences == ()
    with system_scope():
        assert not StripeFinding.objects.exists()


def status(world: World, tenant: SignedUp) -> str:
    return world.api.v1.subscriptions.retrieve(object_id(tenant, "subscription")).status


def test_it_ends_with_its_contract(world: World, tenant: SignedUp) -> None:
    subscribed(world, tenant)
    with system_scope():
        contract_end(actor=operator_of(tenant.tenant.id), tenant_id=tenant.tenant.id)
    world.settle()
    assert status(world, tenant) == "canceled"


def test_a_contract_that_goes_on_keeps_it_until_its_last_month(
    world: World, tenant: SignedUp
) -> None:
    subscribed(world, tenant)
    last = MONTH.next().next()
    with system_scope():
        contract_end(actor=operator_of(tenant.tenant.id), tenant_id=tenant.tenant.id, ends=last.end)
    world.settle()
    assert status(world, tenant) == "active"
    with system_scope():
        ended = [collections_end(now=month.start) for month in (MONTH.next(), last, last)]
    world.settle()
    assert (ended, status(world, tenant)) == ([0, 1, 0], "canceled")


def test_another_contract_ends_that_of_before(world: World, tenant: SignedUp) -> None:
    subscribed(world, tenant)
    with system_scope():
        contract_write(
            actor=operator_of(tenant.tenant.id),
            tenant_id=tenant.tenant.id,
            terms=NewContract(plan_fee=D(80)),
        )
    world.settle()
    assert status(world, tenant) == "canceled"
    start(tenant)
    world.settle()
    assert [s.status for s in world.api.v1.subscriptions.list().data] == ["active"]


def test_a_closed_customer_pays_no_plan(world: World, tenant: SignedUp) -> None:
    subscribed(world, tenant)
    with system_scope():
        tenant_close(actor=operator_of(tenant.tenant.id), reason="left")
    world.settle()
    assert status(world, tenant) == "canceled"
    with pytest.raises(Conflict) as refused:
        start(tenant)
    assert refused.value.code == "tenant_closed"


def test_one_that_ended_before_it_was_heard_of_is_not_made_twice(
    world: World, tenant: SignedUp
) -> None:
    """Its answer is lost, someone cancels it in Stripe, and a day later its key is forgotten."""

    def a_day_passes() -> None:
        for one in world.api.v1.subscriptions.list().data:
            world.api.v1.subscriptions.cancel(one.id)
        world.control.forget_keys()
        with system_scope():
            sent = StripeCall.objects.filter(state="sent")
            sent.update(sent_at=F("sent_at") - dt.timedelta(hours=25))

    world.meanwhile = a_day_passes
    world.control.fault(What.LOSE, "POST /v1/subscriptions", times=2)
    subscribed(world, tenant)
    made = world.api.v1.subscriptions.list({"status": "all"}).data
    assert [one.status for one in made] == ["canceled"]


def test_it_starts_once(world: World, tenant: SignedUp) -> None:
    subscribed(world, tenant)
    start(tenant)
    world.settle()
    assert len(world.api.v1.subscriptions.list().data) == 1


def cancel(tenant: SignedUp, contract_id: str) -> None:
    with system_scope():
        subscription_cancel(actor=operator_of(tenant.tenant.id), contract_id=contract_id)


def running(world: World) -> int:
    return len(world.api.v1.subscriptions.list({"status": "active"}).data)


def test_one_that_was_cancelled_starts_anew_and_the_month_is_not_paid_twice(
    world: World, tenant: SignedUp
) -> None:
    contract_id = subscribed(world, tenant)
    for _ in range(2):
        cancel(tenant, contract_id)
        world.settle()
        assert running(world) == 0
        start(tenant)
        start(tenant)
        world.settle()
        assert running(world) == 1
    assert books()["revenue plan USD"] == -50
    assert not any(name.startswith("grant") for name in books())
    cancel(tenant, contract_id)
    world.settle()
    assert running(world) == 0


def test_one_that_stripe_refused_starts_anew(world: World, tenant: SignedUp) -> None:
    world.control.fault(What.STATUS, "POST /v1/prices", status=400)
    contract_id = subscribed(world, tenant)
    with system_scope():
        found = subscription_of(tenant_id=tenant.tenant.id, contract_id=contract_id)
    assert (found.status, found.runs) == ("refused", False)
    start(tenant)
    world.settle()
    assert running(world) == 1


def test_one_that_ended_with_its_customer_starts_anew(world: World, tenant: SignedUp) -> None:
    contract_id = subscribed(world, tenant)
    world.api.v1.customers.delete(object_id(tenant, "customer"))
    world.settle()
    card_saved(world, tenant)
    start(tenant)
    world.settle()
    assert running(world) == 1
    with system_scope():
        contract_end(actor=operator_of(tenant.tenant.id), tenant_id=tenant.tenant.id)
    world.settle()
    assert running(world) == 0
    with system_scope():
        assert collections_end() == 0
        assert subscription_of(tenant_id=tenant.tenant.id, contract_id=contract_id).status == (
            "canceled"
        )


def test_it_needs_a_plan_a_card_and_an_operator(world: World, tenant: SignedUp) -> None:
    with pytest.raises(NotFound):
        start(tenant)
    contract(tenant.tenant.id, plan_fee=D(50))
    with pytest.raises(Conflict) as refused:
        start(tenant)
    assert refused.value.code == "payment_method_missing"
    with system_scope(), pytest.raises(PermissionDenied):
        subscription_start(actor=owner_of(tenant))
