"""Invoices in Stripe, kept in step with what happens to them here."""

from __future__ import annotations

from typing import Any

import pytest

from tenants.billing.providers import provider_named
from tenants.billing.services.invoices import invoice_void, invoice_write_off
from tenants.billing.states import InvoiceState
from tenants.billing.stripe.models import StripeFinding, StripeObject
from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tenants.billing.stripe.selectors import invoice_page
from tenants.kernel.scope import system_scope, tenant_scope
from tests.tenants.accounts.factories import SignedUp, tenant_make
from tests.tenants.billing.factories import MARCH, granted, invoice_of, operator_of
from tests.tenants.billing.stripe.ending import books
from tests.tenants.billing.stripe.flows import credited, owing, paid_by_transfer, pay_on_page
from tests.tenants.billing.stripe.world import World, object_id

pytestmark = pytest.mark.django_db


def theirs(world: World, tenant: SignedUp) -> dict[str, Any]:
    found: dict[str, Any] = world.api.v1.invoices.retrieve(object_id(tenant, "invoice")).to_dict()
    return found


def test_an_invoice_is_put_before_its_customer_with_what_is_left_to_pay(
    world: World, tenant: SignedUp
) -> None:
    granted(tenant.tenant.id, "30")
    bill = owing(tenant, 10_000)
    world.settle()
    made = theirs(world, tenant)
    assert (made["amount_due"], made["status"], made["auto_advance"]) == (7000, "open", False)
    assert made["custom_fields"] == [{"name": "Invoice", "value": bill.number}]
    with tenant_scope(tenant.tenant.id):
        page = invoice_page(tenant_id=tenant.tenant.id, invoice_id=bill.id)
    assert page == made["hosted_invoice_url"]


def test_what_credit_has_paid_in_full_never_gets_there(world: World, tenant: SignedUp) -> None:
    granted(tenant.tenant.id, "100")
    owing(tenant, 10_000)
    world.settle()
    assert world.api.v1.invoices.list().data == []


def test_collecting_again_makes_nothing_new(world: World, tenant: SignedUp) -> None:
    bill = owing(tenant, 10_000)
    world.settle()
    with system_scope():
        told = provider_named("stripe").collect(bill)
    world.settle()
    assert told.instructions == (f"Pay online: {theirs(world, tenant)['hosted_invoice_url']}",)
    assert len(world.api.v1.invoices.list().data) == 1


def test_one_paid_by_bank_transfer_is_paid_in_stripe_too(world: World, tenant: SignedUp) -> None:
    bill = owing(tenant, 10_000)
    world.settle()
    paid_by_transfer(tenant, bill, "100")
    world.settle()
    assert theirs(world, tenant)["status"] == "paid"
    assert books()["cash manual USD"] == 100
    with system_scope():
        assert provider_named("stripe").receipts(bill) == []
    assert stripe_reconcile().differences == ()


def test_a_void_is_a_void_and_no_credit_note(world: World, tenant: SignedUp) -> None:
    bill = owing(tenant, 10_000)
    world.settle()
    with system_scope():
        invoice_void(actor=operator_of(tenant.tenant.id), invoice_id=bill.id, reason="mistake")
    world.settle()
    assert theirs(world, tenant)["status"] == "void"
    assert world.api.v1.credit_notes.list().data == []
    assert stripe_reconcile().differences == ()


def test_one_written_off_can_still_be_paid(world: World, tenant: SignedUp) -> None:
    bill = owing(tenant, 10_000)
    world.settle()
    with system_scope():
        invoice_write_off(actor=operator_of(tenant.tenant.id), invoice_id=bill.id)
    world.settle()
    assert theirs(world, tenant)["status"] == "uncollectible"
    assert stripe_reconcile().differences == ()
    pay_on_page(world, bill)
    world.settle()
    assert invoice_of(tenant.tenant.id, MARCH).state == InvoiceState.PAID
    assert "bad_debt  USD" not in books()
    assert stripe_reconcile().differences == ()


def test_a_credit_note_lowers_what_is_owed_there(world: World, tenant: SignedUp) -> None:
    bill = owing(tenant, 10_000)
    world.settle()
    credited(bill, "30", to="invoice")
    world.settle()
    assert theirs(world, tenant)["amount_remaining"] == 7000
    pay_on_page(world, bill)
    world.settle()
    assert invoice_of(tenant.tenant.id, MARCH).state == InvoiceState.PAID
    assert stripe_reconcile().differences == ()


def test_what_goes_into_the_wallet_is_out_of_stripes_band(world: World, tenant: SignedUp) -> None:
    bill = owing(tenant, 10_000)
    world.settle()
    pay_on_page(world, bill)
    world.settle()
    credited(bill, "30", to="wallet")
    world.settle()
    (note,) = world.api.v1.credit_notes.list().data
    assert (note.amount, note.out_of_band_amount) == (3000, 3000)
    assert world.api.v1.refunds.list().data == []
    assert books()["grant  USD"] == -30
    assert stripe_reconcile().differences == ()


def test_a_note_over_what_two_providers_received_goes_back_both_ways(
    world: World, tenant: SignedUp
) -> None:
    """40 came by transfer and 60 by card: of 80, the card's 60 goes back by Stripe."""
    bill = owing(tenant, 10_000)
    world.settle()
    paid_by_transfer(tenant, bill, "40")
    world.settle()
    pay_on_page(world, bill)
    world.settle()
    credited(bill, "80")
    world.settle()
    (note,) = world.api.v1.credit_notes.list().data
    (refund,) = world.api.v1.refunds.list().data
    assert (note.amount, note.out_of_band_amount, refund.amount) == (8000, 2000, 6000)
    assert books()["cash manual USD"] == 20
    assert stripe_reconcile().differences == ()


def test_nothing_of_it_is_seen_by_another_tenant(world: World, tenant: SignedUp) -> None:
    bill = owing(tenant, 10_000)
    world.settle()
    other = tenant_make(has_credit=False).tenant.id
    with tenant_scope(other):
        assert StripeObject.objects.count() == 0
        assert invoice_page(tenant_id=tenant.tenant.id, invoice_id=bill.id) == ""


def test_what_is_too_little_for_a_card_is_not_called_paid(world: World, tenant: SignedUp) -> None:
    """Stripe would call an invoice of 49 cents paid, and ask for them with the next one."""
    bill = owing(tenant, 49)
    world.settle()
    assert world.api.v1.invoices.list().data == []
    assert invoice_of(tenant.tenant.id, MARCH).state == InvoiceState.OPEN
    with system_scope():
        assert StripeFinding.objects.get().kind == "amount_too_small"
    paid_by_transfer(tenant, bill, "0.49")
    world.settle()
    assert invoice_of(tenant.tenant.id, MARCH).state == InvoiceState.PAID
    assert stripe_reconcile().differences == ()
