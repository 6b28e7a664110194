"""Reconciliation: it heals what webhooks lost, and says what differs, with what to do about it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from stripe import APIConnectionError

from tenants.billing.models import Payment
from tenants.billing.stripe.findings import finding_close
from tenants.billing.stripe.models import StripeCall, StripeFinding, StripeObject
from tenants.billing.stripe.reconciling import service
from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tenants.billing.stripe.sending import calls_send
from tenants.kernel.errors import PermissionDenied
from tenants.kernel.outbox import drain
from tenants.kernel.scope import system_scope
from tenants.ledger.selectors import wallet_balance
from tests.stripe_server.faults import What
from tests.tenants.accounts.factories import SignedUp, owner_of
from tests.tenants.billing.factories import MARCH, invoice_of, operator_of
from tests.tenants.billing.stripe.flows import FLOWS, owing, paid_by_transfer, pay_on_page
from tests.tenants.billing.stripe.world import (
    TABLE,
    World,
    object_id,
    session_of,
    top_up,
    topped_up,
    without_webhooks,
)

pytestmark = pytest.mark.django_db
D = Decimal


def credit_of(tenant: SignedUp) -> Decimal:
    with system_scope():
        return wallet_balance(tenant_id=tenant.tenant.id, currency="USD").credit.amount


def kinds() -> set[str]:
    with system_scope():
        rows = StripeFinding.objects.filter(state="open")
        return set(rows.values_list("kind", flat=True))


@pytest.mark.parametrize("name", ["checkout", "invoice", "dispute", "payout", "subscription"])
def test_it_heals_a_flow_whose_webhooks_are_all_lost(
    name: str, world: World, tenant: SignedUp
) -> None:
    with without_webhooks(world):
        for _ in FLOWS[name](world, tenant):
            world.settle()
            stripe_reconcile()
    outcome = stripe_reconcile()
    assert (outcome.healed, outcome.differences) == (0, ())


def test_an_agreement_is_found_again_without_a_change(world: World, tenant: SignedUp) -> None:
    topped_up(world, tenant, "25")
    assert stripe_reconcile().differences == ()
    assert stripe_reconcile().healed == 0


def test_what_was_pending_is_available_once_stripe_says_so(world: World, tenant: SignedUp) -> None:
    topped_up(world, tenant, "25")
    world.control.advance(days=3)
    assert stripe_reconcile().differences == ()


def test_a_payment_that_nobody_here_asked_for_is_found(world: World) -> None:
    world.api.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    )
    found = {d.kind: d for d in stripe_reconcile().differences}
    assert found.keys() == {"payment_unknown", "clearing_differs"}
    assert found["payment_unknown"].evidence["amount"] == "5.00 USD"
    assert found["clearing_differs"].evidence["left"].startswith("-5.0")
    assert "refund it in Stripe" in found["payment_unknown"].action


def test_a_payment_over_another_amount_is_found(world: World, tenant: SignedUp) -> None:
    topped_up(world, tenant, "25")
    with system_scope():
        Payment.objects.update(amount=D(24))
    assert {d.kind for d in stripe_reconcile().differences} == {"payment_amount"}


def test_payments_of_the_other_mode_are_not_missed(world: World, tenant: SignedUp) -> None:
    """Data of test mode is kept when we go live, whose key does not see them."""
    visit = topped_up(world, tenant, "25")
    with system_scope():
        paid = Payment.objects.get(pk=visit.payment_id)
        Payment.objects.update(external_id="pi_test", created_at="2100-01-01T00:00Z")
        rows = StripeObject.objects.filter(stripe_id=paid.external_id)
        rows.update(stripe_id="pi_test", mode="live")
    found = {d.kind for d in stripe_reconcile().differences}
    assert "payment_missing" not in found
    with system_scope():
        rows = StripeObject.objects.filter(stripe_id="pi_test", mode="live")
        rows.update(mode="test")
    assert "payment_missing" in {d.kind for d in stripe_reconcile().differences}


def test_an_invoice_that_is_settled_on_one_side_only_is_found(
    world: World, tenant: SignedUp
) -> None:
    bill = owing(tenant, 10_000)
    world.settle()
    with system_scope():
        row = StripeObject.objects.get(kind="invoice")
    world.api.v1.invoices.void_invoice(row.stripe_id)
    found = {d.kind: d for d in stripe_reconcile().differences}
    assert found["invoice_state"].evidence == {
        "stripe": "void",
        "ours": "open",
        "invoice": bill.number,
    }


def test_a_refund_made_by_hand_in_stripe_is_found(world: World, tenant: SignedUp) -> None:
    visit = topped_up(world, tenant, "25")
    with system_scope():
        paid = Payment.objects.get(pk=visit.payment_id)
    world.api.v1.refunds.create({"payment_intent": paid.external_id, "amount": 500})
    world.settle()
    stripe_reconcile()
    assert kinds() == {"refund_unknown", "clearing_differs"}


def test_a_call_that_stays_unanswered_is_found_and_closes_by_itself(
    world: World, tenant: SignedUp
) -> None:
    world.control.fault(What.STATUS, "POST /v1/customers", times=4, status=500)
    top_up(tenant, "25")
    drain(TABLE)
    calls_send()
    with system_scope():
        StripeCall.objects.update(created_at="2026-01-01T00:00Z")
    assert {d.kind for d in stripe_reconcile().differences} == {"call_stuck"}
    world.settle()
    assert stripe_reconcile().differences == ()
    assert kinds() == set()


def test_nothing_is_said_while_stripe_is_away(world: World) -> None:
    world.control.fault(What.REFUSE, "GET /v1/balance", times=9)
    with pytest.raises(APIConnectionError):
        stripe_reconcile()
    assert kinds() == set()


def test_an_invoice_paid_twice_becomes_credit_and_a_finding(world: World, tenant: SignedUp) -> None:
    """By bank transfer in full, and on Stripe's page before Stripe has heard of it."""
    bill = owing(tenant, 10_000)
    world.settle()
    pay_on_page(world, bill)
    paid_by_transfer(tenant, bill, "100")
    world.settle()
    assert kinds() >= {"paid_in_vain"}
    assert credit_of(tenant) == 100
    assert invoice_of(tenant.tenant.id, MARCH).state == "paid"


def test_an_operator_closes_a_finding_and_nobody_else(world: World, tenant: SignedUp) -> None:
    world.api.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    )
    stripe_reconcile()
    with system_scope():
        found = StripeFinding.objects.get(kind="payment_unknown")
        with pytest.raises(PermissionDenied):
            finding_close(actor=owner_of(tenant), finding_id=found.id)
        finding_close(actor=operator_of(tenant.tenant.id), finding_id=found.id)
    assert "payment_unknown" not in kinds()
    stripe_reconcile()
    assert "payment_unknown" in kinds()  # it still differs


def test_a_part_of_an_invoice_that_was_paid_unheard_is_booked(
    world: World, tenant: SignedUp
) -> None:
    """The invoice is open on both sides, before and after."""
    bill = owing(tenant, 10_000)
    world.settle()
    with without_webhooks(world):
        paid = world.api.v1.payment_intents.create(
            {
                "amount": 4000,
                "currency": "usd",
                "customer": object_id(tenant, "customer"),
                "payment_method": "pm_card_visa",
                "confirm": True,
            }
        )
        name = object_id(tenant, "invoice")
        world.api.v1.invoices.attach_payment(name, {"payment_intent": paid.id})
        world.settle()
        assert stripe_reconcile().differences == ()
    assert invoice_of(tenant.tenant.id, MARCH).paid == 40
    assert bill.due == 100


def test_what_is_paid_while_it_compares_is_no_difference(
    world: World, tenant: SignedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Payments come between each two steps: of one we hear at once, of the next not so soon."""
    visits = [top_up(tenant, "25") for _ in range(8)]
    world.settle()
    left = iter(visits)

    def and_a_payment_comes(step: Any) -> Any:
        def stepped(*given: Any) -> Any:
            for number, visit in zip(range(2), left, strict=False):
                world.control.pay_session(session_of(visit))
                if number == 0:
                    world.settle()
            return step(*given)

        return stepped

    for name in ("balance_follow", "balances_compared", "clearing_compared", "payments_compared"):
        step = getattr(service, name)
        monkeypatch.setattr(service, name, and_a_payment_comes(step))
    assert stripe_reconcile().differences == ()
    world.settle()
    assert credit_of(tenant) == 200


def test_the_command_says_what_differs(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.api.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    )
    call_command("stripe_reconcile", "--days", "2")
    said = capsys.readouterr().out
    assert "2 differences" in said
    assert "→ find out whose it is" in said


def test_the_command_says_that_stripe_is_off(world: World, settings: object) -> None:
    settings.STRIPE_SECRET_KEY = ""  # type: ignore[attr-defined]
    with pytest.raises(CommandError, match="STRIPE_SECRET_KEY"):
        call_command("stripe_reconcile")


def test_a_session_paid_while_we_were_away_is_credited(world: World, tenant: SignedUp) -> None:
    visit = top_up(tenant, "25")
    world.settle()
    with without_webhooks(world):
        world.control.pay_session(session_of(visit))
        world.settle()
        assert credit_of(tenant) == 0
        assert stripe_reconcile().healed >= 1
    assert credit_of(tenant) == 25
