"""What Stripe refuses: whoever waits is told, and it can be asked for again."""

from __future__ import annotations

import datetime as dt

import pytest

from tenants.billing.models import Invoice
from tenants.billing.services.dunning import dunning_advance
from tenants.billing.stripe.handling import events_handle
from tenants.billing.stripe.models import StripeCall, StripeObject, StripeVisit
from tenants.billing.stripe.selectors import default_method
from tenants.billing.stripe.sending import calls_send
from tenants.billing.stripe.services.visits import card_setup_start
from tenants.kernel.outbox import drain
from tenants.kernel.scope import system_scope, tenant_scope
from tests.stripe_server.faults import What
from tests.tenants.accounts.factories import SignedUp, owner_of
from tests.tenants.billing.stripe.flows import credited, onboard, owing
from tests.tenants.billing.stripe.world import (
    BACK,
    TABLE,
    World,
    card_saved,
    object_id,
    top_up,
    visit_now,
    waiting,
)

pytestmark = pytest.mark.django_db
State = StripeVisit.State


def remind(world: World, bill: Invoice) -> None:
    assert bill.due_at is not None
    dunning_advance(now=bill.due_at + dt.timedelta(days=1), tenant_id=bill.tenant_id)
    world.settle()


def charged_by(tenant: SignedUp) -> str:
    with system_scope():
        return default_method(tenant.tenant.id)


def state_there(bill: Invoice) -> str:
    """How our invoice's latest one in Stripe stands."""
    with system_scope():
        rows = StripeObject.objects.filter(kind="invoice", our_id=bill.id).order_by("-id")
        return rows.values_list("state", flat=True).first() or ""


def test_a_visit_behind_a_refused_customer_fails_and_the_next_one_opens(
    world: World, tenant: SignedUp
) -> None:
    world.control.fault(What.STATUS, "POST /v1/customers", status=400)
    first = top_up(tenant, "25")
    world.settle()
    assert visit_now(first).state == State.FAILED
    assert "customer.create was refused" in visit_now(first).error
    second = top_up(tenant, "25")
    world.settle()
    assert (visit_now(second).state, waiting()) == (State.READY, [])


def test_a_partner_whose_account_is_refused_is_told_and_may_ask_again(
    world: World, tenant: SignedUp
) -> None:
    """As of a country where Stripe pays nobody; the tax profile is then put right."""
    world.control.fault(What.STATUS, "POST /v1/accounts", status=400)
    for _ in range(2):
        onboard(tenant)
        world.settle()
    with system_scope():
        states = list(StripeVisit.objects.order_by("created_at").values_list("state", flat=True))
        found = StripeObject.objects.get(kind="account")
    assert states == [State.FAILED, State.READY]
    assert found.our_id == "account"


def test_an_invoice_that_was_half_made_is_made_anew_on_its_reminder(
    world: World, tenant: SignedUp
) -> None:
    """Its item was refused, so nothing was opened: the draft that is left collects nothing."""
    world.control.fault(What.STATUS, "POST /v1/invoiceitems", status=400)
    bill = owing(tenant, 10_000)
    world.settle()
    assert state_there(bill) == "draft"
    remind(world, bill)
    assert (state_there(bill), waiting()) == ("open", [])


def test_an_invoice_for_a_card_that_was_just_removed_is_put_before_its_customer(
    world: World, tenant: SignedUp
) -> None:
    """The webhook of its removal was lost."""
    card_saved(world, tenant)
    world.api.v1.payment_methods.detach(charged_by(tenant))
    world.control.take_events()
    bill = owing(tenant, 10_000)
    world.settle()
    assert (state_there(bill), charged_by(tenant)) == ("", "")
    remind(world, bill)
    assert (state_there(bill), waiting()) == ("open", [])


def test_the_cards_of_a_deleted_customer_are_gone_with_it(world: World, tenant: SignedUp) -> None:
    """Its webhook was lost: the first refusal tells, and the next customer has no card yet."""
    card_saved(world, tenant)
    world.api.v1.customers.delete(object_id(tenant, "customer"))
    world.control.take_events()
    bill = owing(tenant, 10_000)
    world.settle()
    remind(world, bill)
    assert (state_there(bill), charged_by(tenant)) == ("open", "")


def test_a_late_refusal_takes_nothing_from_the_next_customer(
    world: World, tenant: SignedUp
) -> None:
    """A visit that was put off names the customer of before, when there is another already."""
    card_saved(world, tenant)
    first = object_id(tenant, "customer")
    late = top_up(tenant, "25")
    drain(TABLE)
    with system_scope():
        call = StripeCall.objects.get(key=late.id)
        StripeCall.objects.filter(pk=call.pk).update(available_at="2100-01-01T00:00Z")
    world.api.v1.customers.delete(first)
    while world.deliver() + events_handle():
        pass
    with tenant_scope(tenant.tenant.id):
        card_setup_start(actor=owner_of(tenant), currency="USD", back=BACK)
    drain(TABLE)
    calls_send()
    second = object_id(tenant, "customer")
    assert second != first
    world.settle()  # the late one, too
    assert visit_now(late).state == State.FAILED
    with system_scope():
        rows = StripeObject.objects.filter(kind="customer").values_list("stripe_id", "state")
        assert dict(rows) == {first: "deleted", second: "active"}


def test_a_credit_note_waits_for_all_of_its_refunds(world: World, tenant: SignedUp) -> None:
    """An invoice paid by two cards; the first refund is put off."""
    bill = owing(tenant, 10_000)
    world.settle()
    for _ in range(2):
        paid = world.api.v1.payment_intents.create(
            {
                "amount": 5000,
                "currency": "usd",
                "customer": object_id(tenant, "customer"),
                "payment_method": "pm_card_visa",
                "confirm": True,
            }
        )
        name = object_id(tenant, "invoice")
        world.api.v1.invoices.attach_payment(name, {"payment_intent": paid.id})
        world.settle()
    credited(bill, "80")
    world.control.fault(What.REFUSE, "POST /v1/refunds", times=2)
    world.settle()
    (note,) = world.api.v1.credit_notes.list().data
    assert note.amount == 8000
    with system_scope():
        assert not StripeCall.objects.filter(state="refused").exists()
