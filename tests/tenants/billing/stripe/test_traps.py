"""The traps of Stripe's API that the design names, one test each (meters have their own file)."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import F

from tenants.billing.models import Invoice
from tenants.billing.services.dunning import dunning_advance
from tenants.billing.services.payouts import partner_pay
from tenants.billing.states import InvoiceState
from tenants.billing.stripe import sending
from tenants.billing.stripe.models import StripeCall, StripeFinding, StripeVisit
from tenants.billing.stripe.payer import StripePayer
from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.ledger.selectors import wallet_balance
from tests.stripe_server.faults import What
from tests.tenants.accounts.factories import SignedUp
from tests.tenants.billing.factories import (
    MARCH,
    contract,
    invoice_of,
    on,
    operator_of,
    stated,
    used,
)
from tests.tenants.billing.factories import book as book_make
from tests.tenants.billing.stripe.ending import books
from tests.tenants.billing.stripe.flows import credited, earned, onboard, owing, pay_on_page, spend
from tests.tenants.billing.stripe.world import (
    World,
    card_saved,
    object_id,
    session_of,
    top_up,
    topped_up,
    visit_now,
)

pytestmark = pytest.mark.django_db
D = Decimal


def findings() -> dict[str, StripeFinding]:
    with system_scope():
        return {row.kind: row for row in StripeFinding.objects.filter(state="open")}


def listed(world: World, name: str) -> list[dict[str, Any]]:
    service: Any = world.api.v1
    for part in name.split("."):
        service = getattr(service, part)
    return [one.to_dict() for one in service.list({"limit": 100}).data]


def calls_of(tenant: SignedUp) -> dict[str, StripeCall]:
    """The latest call of each operation."""
    with system_scope():
        rows = StripeCall.objects.filter(tenant_id=tenant.tenant.id).order_by("id")
        return {row.operation: row for row in rows}


def credit_of(tenant: SignedUp) -> Decimal:
    with system_scope():
        return wallet_balance(tenant_id=tenant.tenant.id, currency="USD").credit.amount


def bill_now(bill: Invoice) -> Invoice:
    return invoice_of(bill.tenant_id, MARCH)


MADE = {
    "/v1/customers": "customers",
    "/v1/checkout/sessions": "checkout.sessions",
    "/v1/invoices": "invoices",
    "/v1/invoiceitems": "invoice_items",
    "/v1/refunds": "refunds",
    "/v1/credit_notes": "credit_notes",
}


def test_unheard_calls_whose_keys_were_pruned_are_found_not_made_twice(
    world: World, tenant: SignedUp
) -> None:
    """Whatever is tried again here is tried a day later, when Stripe has forgotten its key."""

    def a_day_passes() -> None:
        world.control.forget_keys()
        with system_scope():
            sent = StripeCall.objects.filter(state="sent")
            sent.update(sent_at=F("sent_at") - dt.timedelta(hours=25))

    world.meanwhile = a_day_passes
    for path in MADE:
        world.control.fault(What.LOSE, f"POST {path}", times=2)
    topped_up(world, tenant, "25")
    bill = owing(tenant, 12_500)
    world.settle()
    pay_on_page(world, bill)
    world.settle()
    credited(bill, "30")
    world.settle()
    assert {name: len(listed(world, name)) for name in MADE.values()} == dict.fromkeys(
        MADE.values(), 1
    )
    assert {call.state for call in calls_of(tenant).values()} == {"done"}
    assert [call.attempts for call in calls_of(tenant).values()].count(2) == len(MADE)
    assert stripe_reconcile().differences == ()


def test_a_clock_that_is_ahead_of_stripes_makes_nothing_twice(
    world: World, tenant: SignedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By ten minutes: what it asked for was made before it asked."""
    real = sending._now

    def a_day_passes() -> None:
        world.control.forget_keys()
        with system_scope():
            sent = StripeCall.objects.filter(state="sent")
            sent.update(sent_at=F("sent_at") + dt.timedelta(minutes=10))
        monkeypatch.setattr(sending, "_now", lambda: real() + dt.timedelta(hours=25))

    world.meanwhile = a_day_passes
    world.control.fault(What.LOSE, "POST /v1/customers", times=2)
    top_up(tenant, "25")
    world.settle()
    assert len(listed(world, "customers")) == 1


@pytest.mark.parametrize("method", ["pm_usBankAccount_success", "pm_sepaDebit_success"])
def test_a_payment_that_takes_days_is_credited_when_it_has_come(
    world: World, tenant: SignedUp, method: str
) -> None:
    visit = topped_up(world, tenant, "25", method=method)
    assert (visit.state, credit_of(tenant)) == (StripeVisit.State.PROCESSING, 0)
    world.control.advance(days=5)
    world.settle()
    assert (visit_now(visit).state, credit_of(tenant)) == (StripeVisit.State.DONE, 25)


def test_a_payment_that_does_not_come_is_never_credited(world: World, tenant: SignedUp) -> None:
    visit = topped_up(world, tenant, "25", method="pm_sepaDebit_failure")
    world.control.advance(days=5)
    world.settle()
    assert (visit_now(visit).state, credit_of(tenant)) == (StripeVisit.State.FAILED, 0)
    assert findings() == {}


def test_a_payment_that_fails_after_the_grant_opens_a_review(
    world: World, tenant: SignedUp
) -> None:
    visit = topped_up(world, tenant, "25", method="pm_sepaDebit_success")
    world.control.advance(days=5)
    world.settle()
    assert (visit_now(visit).state, credit_of(tenant)) == (StripeVisit.State.DONE, 25)
    world.control.fail_charge(object_id(tenant, "charge"))
    world.settle()
    found = findings()["payment_failed_later"]
    assert found.tenant_id == tenant.tenant.id
    assert found.evidence["amount"].startswith("25.0")
    assert credit_of(tenant) == 25  # a person decides
    stripe_reconcile()
    assert findings()["clearing_differs"].evidence["left"].startswith("25.0")


def test_a_declined_card_leaves_the_page_open_and_the_wallet_empty(
    world: World, tenant: SignedUp
) -> None:
    visit = top_up(tenant, "25")
    world.settle()
    answer = world.control.pay_session(session_of(visit), "pm_card_chargeDeclined")
    assert answer["error"]["code"] == "card_declined"
    world.settle()
    assert (visit_now(visit).state, credit_of(tenant)) == (StripeVisit.State.READY, 0)
    world.control.pay_session(session_of(visit))
    world.settle()
    assert (visit_now(visit).state, credit_of(tenant)) == (StripeVisit.State.DONE, 25)


def test_an_invoice_whose_card_is_declined_stays_open_and_is_tried_on_reminders(
    world: World, tenant: SignedUp
) -> None:
    card_saved(world, tenant, "pm_card_chargeCustomerFail")
    bill = owing(tenant, 10_000)
    world.settle()
    call = calls_of(tenant)["invoice.pay"]
    assert (call.state, call.error.partition(":")[0]) == ("refused", "card_declined")
    assert (bill_now(bill).state, findings()) == (InvoiceState.OPEN, {})
    card_saved(world, tenant)  # another one, which is good
    assert bill.due_at is not None
    dunning_advance(now=bill.due_at + dt.timedelta(days=1), tenant_id=tenant.tenant.id)
    world.settle()
    assert bill_now(bill).state == InvoiceState.PAID


def test_our_amounts_reach_stripe_as_they_are_and_nothing_is_left_to_multiply(
    world: World, tenant: SignedUp
) -> None:
    """1,001 units at a third of a cent: `unit_amount_decimal` x quantity would be Stripe's sum."""
    third = {"model": "standard", "unit": "0.003333333333"}
    contract(tenant.tenant.id, book_id=book_make(third))
    used(tenant.tenant.id, "a", 1001, on(MARCH, 3))
    used(tenant.tenant.id, "b", 1001, on(MARCH, 4))
    bill = stated(tenant.tenant.id, MARCH)
    world.settle()
    (made,) = listed(world, "invoices")
    assert (made["total"], bill.due) == (667, D("6.67"))
    (item,) = listed(world, "invoice_items")
    assert item["amount"] == 667
    bodies = [request["body"] for request in world.control.requests()]
    assert not any("unit_amount_decimal" in body for body in bodies)


@pytest.mark.parametrize(
    ("currency", "amount", "whole"), [("JPY", "2500", 2500), ("KWD", "12.34", 12340)]
)
def test_currencies_of_no_and_of_three_decimals(
    world: World, tenant: SignedUp, currency: str, amount: str, whole: int
) -> None:
    topped_up(world, tenant, amount, currency)
    (intent,) = listed(world, "payment_intents")
    assert (intent["amount"], intent["currency"]) == (whole, currency.lower())
    with system_scope():
        held = wallet_balance(tenant_id=tenant.tenant.id, currency=currency).credit
    assert held.amount == D(amount)
    assert stripe_reconcile().differences == ()


def test_a_transfer_waits_until_there_is_a_balance(world: World, tenant: SignedUp) -> None:
    topped_up(world, tenant, "100")  # pending for two days
    partner(world, tenant)
    earned(tenant, "60")
    pay_out(tenant)

    def days_pass() -> None:
        if calls_of(tenant)["transfer.create"].refusals == 3:
            world.control.advance(days=3)

    world.meanwhile = days_pass
    world.settle()
    call = calls_of(tenant)["transfer.create"]
    assert (call.state, call.refusals) == ("done", 3)
    assert [row["amount"] for row in listed(world, "transfers")] == [6000]
    assert "partner_available  USD" not in books()
    assert stripe_reconcile().differences == ()


def test_a_refused_transfer_can_be_paid_again(world: World, tenant: SignedUp) -> None:
    topped_up(world, tenant, "100", method="pm_card_bypassPending")
    partner(world, tenant)
    earned(tenant, "60")
    world.api.v1.accounts.delete(object_id(tenant, "account"))
    pay_out(tenant)
    world.settle()
    assert calls_of(tenant)["transfer.create"].state == "refused"
    assert findings()["call_refused"].subject == calls_of(tenant)["transfer.create"].id
    assert books()["partner_available  USD"] == -60
    assert "partner_paid  USD" not in books()


def test_a_deleted_customer_is_made_anew(world: World, tenant: SignedUp) -> None:
    topped_up(world, tenant, "25")
    first = object_id(tenant, "customer")
    world.api.v1.customers.delete(first)
    world.settle()
    topped_up(world, tenant, "30")
    assert credit_of(tenant) == 55
    assert object_id(tenant, "customer") != first


def test_a_customer_deleted_unheard_of_costs_one_visit(world: World, tenant: SignedUp) -> None:
    """The webhook was lost: the next call is refused, and the one after makes another customer."""
    topped_up(world, tenant, "25")
    world.api.v1.customers.delete(object_id(tenant, "customer"))
    world.control.take_events()
    visit = top_up(tenant, "30")
    world.settle()
    assert visit_now(visit).state == StripeVisit.State.FAILED
    topped_up(world, tenant, "30")
    assert credit_of(tenant) == 55


def test_an_invoice_of_a_deleted_customer_is_collected_on_its_reminder(
    world: World, tenant: SignedUp
) -> None:
    topped_up(world, tenant, "25")
    world.api.v1.customers.delete(object_id(tenant, "customer"))
    world.control.take_events()
    bill = owing(tenant, 12_500)
    world.settle()
    assert calls_of(tenant)["invoice.create"].state == "refused"
    assert bill.due_at is not None
    dunning_advance(now=bill.due_at + dt.timedelta(days=1), tenant_id=tenant.tenant.id)
    world.settle()
    pay_on_page(world, bill)
    world.settle()
    assert bill_now(bill).state == InvoiceState.PAID


def test_a_dispute_after_the_payout_takes_the_balance_below_zero(
    world: World, tenant: SignedUp
) -> None:
    topped_up(world, tenant, "25", method="pm_card_bypassPending")
    made = world.api.v1.payouts.create({"amount": 2398, "currency": "usd"})
    world.control.arrive_payout(made.id)
    world.settle()
    spend(tenant, 1000)
    world.control.open_dispute(object_id(tenant, "charge"))
    world.settle()
    assert findings()["dispute_open"].evidence["amount"].startswith("25.0")
    found = books()
    assert found["provider_available stripe USD"] == -40  # 25 and the fee of 15
    assert found["provider_dispute stripe USD"] == 25
    assert found["cash manual USD"] == D("23.98")
    assert stripe_reconcile().differences == ()


def test_a_won_dispute_leaves_nothing_but_its_fee(world: World, tenant: SignedUp) -> None:
    topped_up(world, tenant, "25")
    disputed = world.control.open_dispute(object_id(tenant, "charge"))
    world.settle()
    evidence = {"uncategorized_text": "winning_evidence"}
    world.api.v1.disputes.update(disputed, {"evidence": evidence})
    world.settle()
    assert "provider_dispute stripe USD" not in books()
    assert (credit_of(tenant), findings()) == (25, {})
    assert stripe_reconcile().differences == ()


def test_a_refund_that_fails_is_a_persons_to_send_another_way(
    world: World, tenant: SignedUp
) -> None:
    bill = owing(tenant, 10_000)
    world.settle()
    pay_on_page(world, bill)
    world.settle()
    credited(bill, "30")
    world.settle()
    world.control.fail_refund(object_id(tenant, "refund"))
    world.settle()
    assert findings()["refund_failed"].evidence["amount"].startswith("30.0")
    assert books()["cash stripe USD"] == -30  # with Stripe again, and not in our books


def test_a_reversal_that_fails_leaves_the_partner_in_our_debt(
    world: World, tenant: SignedUp
) -> None:
    topped_up(world, tenant, "100", method="pm_card_bypassPending")
    partner(world, tenant)
    earned(tenant, "60")
    pay_out(tenant)
    world.settle()
    with system_scope():
        tried = StripePayer().take_back(tenant.tenant.id, Money.of("20", "USD"), key="back")
    world.settle()
    assert tried.amount == 20
    assert books()["partner_receivable  USD"] == -20  # off what the partner will owe
    account = object_id(tenant, "account")
    world.api.v1.payouts.create({"amount": 4000, "currency": "usd"}, {"stripe_account": account})
    with system_scope():
        StripePayer().take_back(tenant.tenant.id, Money.of("30", "USD"), key="more")
    world.settle()
    with system_scope():
        latest = StripeCall.objects.filter(operation="transfer.reverse").latest("id")
    assert (latest.state, findings()["call_refused"].subject) == ("refused", latest.id)
    assert books()["partner_receivable  USD"] == -20


def partner(world: World, tenant: SignedUp) -> None:
    """A partner that may be paid."""
    onboard(tenant)
    world.settle()
    world.control.onboard(object_id(tenant, "account"))
    world.settle()


def pay_out(tenant: SignedUp) -> None:
    with system_scope():
        partner_pay(actor=operator_of(tenant.tenant.id), currency="USD", key="november")
