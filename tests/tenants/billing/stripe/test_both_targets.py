"""What can be done with Stripe's API alone: the same on loopback and in its test mode."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tenants.billing.models import Invoice
from tenants.billing.states import InvoiceState
from tenants.billing.stripe.models import StripeCall, StripeObject
from tenants.billing.stripe.services.customers import customer_ensure
from tenants.billing.stripe.services.subscriptions import subscription_cancel, subscription_start
from tenants.kernel.scope import system_scope
from tests.tenants.accounts.factories import SignedUp
from tests.tenants.billing.factories import MARCH, contract, invoice_of, operator_of
from tests.tenants.billing.stripe.ending import rows_of
from tests.tenants.billing.stripe.flows import credited, owing, paid_by_transfer, pay_on_page
from tests.tenants.billing.stripe.world import (
    World,
    object_id,
    payment_of,
    session_of,
    top_up,
    visit_now,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_shapes")]
D = Decimal


def card_attached(world: World, tenant: SignedUp) -> None:
    """As a customer does in the portal."""
    with system_scope():
        customer_ensure(tenant_id=tenant.tenant.id)
    world.settle()
    customer = object_id(tenant, "customer")
    world.api.v1.payment_methods.attach("pm_card_visa", {"customer": customer})
    world.settle()


def states(tenant: SignedUp) -> dict[str, str]:
    with system_scope():
        rows = StripeObject.objects.filter(tenant_id=tenant.tenant.id).order_by("id")
        return dict(rows.values_list("kind", "state"))


def all_done(tenant: SignedUp) -> bool:
    with system_scope():
        rows = StripeCall.objects.filter(tenant_id=tenant.tenant.id)
        return set(rows.values_list("state", flat=True)) == {"done"}


def bill_now(tenant: SignedUp) -> Invoice:
    return invoice_of(tenant.tenant.id, MARCH)


def test_a_page_to_pay_on_is_opened(world: World, tenant: SignedUp) -> None:
    visit = top_up(tenant, "25")
    world.settle()
    assert visit_now(visit).url.startswith(("https://", "http://127.0.0.1:"))
    found = world.api.v1.checkout.sessions.retrieve(session_of(visit))
    assert (found.amount_total, found.currency, found.status) == (2500, "usd", "open")


def test_an_invoice_is_paid_in_parts_here_and_there(world: World, tenant: SignedUp) -> None:
    bill = owing(tenant, 10_000)
    world.settle()
    paid_by_transfer(tenant, bill, "40")
    world.settle()
    pay_on_page(world, bill)
    world.settle()
    assert (bill_now(tenant).state, bill_now(tenant).paid) == (InvoiceState.PAID, 100)
    assert (payment_of(tenant).provider, payment_of(tenant).amount) == ("stripe", 60)
    assert states(tenant)["invoice"] == "paid"
    assert all_done(tenant)


def test_an_invoice_is_charged_to_a_saved_card(world: World, tenant: SignedUp) -> None:
    card_attached(world, tenant)
    owing(tenant, 10_000)
    world.settle()
    assert bill_now(tenant).state == InvoiceState.PAID
    assert states(tenant)["payment_method"] == "default"


def test_part_of_a_paid_invoice_goes_back_to_its_payer(world: World, tenant: SignedUp) -> None:
    bill = owing(tenant, 10_000)
    world.settle()
    pay_on_page(world, bill)
    world.settle()
    credited(bill, "30")
    world.settle()
    found = states(tenant)
    assert (found["refund"], found["credit_note"]) == ("succeeded", "issued")
    assert payment_of(tenant).refunded == 30
    assert all_done(tenant)


def test_a_plans_fee_is_collected_until_it_is_cancelled(world: World, tenant: SignedUp) -> None:
    card_attached(world, tenant)
    terms = contract(tenant.tenant.id, plan_fee=D(50))
    with system_scope():
        subscription_start(actor=operator_of(tenant.tenant.id))
    world.settle()
    assert rows_of(tenant.tenant.id)["payments"] == {("stripe", "USD", D(50), D(0), D(50)): 1}
    with system_scope():
        subscription_cancel(actor=operator_of(tenant.tenant.id), contract_id=terms)
    world.settle()
    assert states(tenant)["subscription"] == "canceled"
    assert all_done(tenant)
