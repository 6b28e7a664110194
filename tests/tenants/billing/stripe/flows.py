"""The flows of money, each from its first click to its last posting.

A flow is a generator: it does what customers, operators and banks do, and yields wherever our own
processes are to catch up; `KNOWN` where another flow has shown every point of that already.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from tenants.billing.models import CreditNote, Invoice, InvoiceLine, Payment
from tenants.billing.payouts import Part
from tenants.billing.services.credit_notes import credit_note_issue
from tenants.billing.services.payments import payment_receive
from tenants.billing.services.payouts import partner_pay
from tenants.billing.services.refunds import payment_refund
from tenants.billing.services.tax import NewProfile, tax_profile_set
from tenants.billing.stripe.models import StripeObject
from tenants.billing.stripe.services.partners import onboarding_start
from tenants.billing.stripe.services.subscriptions import subscription_cancel, subscription_start
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.chart import AccountKind
from tenants.ledger.services import NewPosting, transaction_post
from tests.tenants.accounts.factories import SignedUp, owner_of
from tests.tenants.billing.factories import MARCH, book, contract, on, operator_of, stated, used
from tests.tenants.billing.stripe.world import (
    BACK,
    World,
    card_setup,
    object_id,
    payment_of,
    session_of,
    top_up,
)

KNOWN = True
Flow = Callable[[World, SignedUp], Iterator[bool | None]]
CENT = {"model": "standard", "unit": "0.01"}


def checkout(world: World, tenant: SignedUp) -> Iterator[bool | None]:
    """A top-up, paid at once."""
    visit = top_up(tenant, "25")
    yield
    world.control.pay_session(session_of(visit))
    yield


def invoice(world: World, tenant: SignedUp) -> Iterator[bool | None]:
    """An invoice of 100, of which 40 come by bank transfer and the rest on Stripe's page."""
    bill = owing(tenant, 10_000)
    yield
    paid_by_transfer(tenant, bill, "40")
    yield
    pay_on_page(world, bill)
    yield


def refund(world: World, tenant: SignedUp) -> Iterator[bool | None]:
    """A top-up of which part goes back."""
    visit = top_up(tenant, "25")
    yield KNOWN
    world.control.pay_session(session_of(visit))
    yield KNOWN
    with system_scope():
        payment_refund(
            actor=operator_of(tenant.tenant.id),
            payment_id=payment_of(tenant).id,
            amount=Money.of("10", "USD"),
            key="too much",
        )
    yield


def credit_note(world: World, tenant: SignedUp) -> Iterator[bool | None]:
    """An invoice, paid on Stripe's page, of which a part is given back to its payer."""
    bill = owing(tenant, 10_000)
    yield KNOWN
    pay_on_page(world, bill)
    yield KNOWN
    credited(bill, "30")
    yield


def dispute(world: World, tenant: SignedUp) -> Iterator[bool | None]:
    """A top-up, partly used, that the payer's bank takes back for good."""
    visit = top_up(tenant, "25")
    yield KNOWN
    world.control.pay_session(session_of(visit))
    yield KNOWN
    spend(tenant, 1000)
    disputed = world.control.open_dispute(object_id(tenant, "charge"))
    yield
    world.api.v1.disputes.close(disputed)
    yield


def subscription(world: World, tenant: SignedUp) -> Iterator[bool | None]:
    """A plan with a fee, from a saved card to its end."""
    card = card_setup(tenant)
    yield KNOWN
    world.control.pay_session(session_of(card))
    yield
    terms = contract(tenant.tenant.id, plan_fee=Decimal(50), allowance=Decimal(10))
    with system_scope():
        subscription_start(actor=operator_of(tenant.tenant.id))
    yield
    with system_scope():
        subscription_cancel(actor=operator_of(tenant.tenant.id), contract_id=terms)
    yield


def payout(world: World, tenant: SignedUp) -> Iterator[bool | None]:
    """A partner joins and is paid, part of it out of a customer's payment; the rest is ours."""
    visit = top_up(tenant, "100")
    yield KNOWN
    world.control.pay_session(session_of(visit), "pm_card_bypassPending")
    onboard(tenant)
    yield
    world.control.onboard(object_id(tenant, "account"))
    yield
    earned(tenant, "60")
    with system_scope():
        partner_pay(
            actor=operator_of(tenant.tenant.id),
            currency="USD",
            key=f"november {tenant.tenant.id}",
            sources=[Part(Money.of("40", "USD"), payment_of(tenant).id)],
        )
    yield
    ours = world.api.v1.payouts.create({"amount": 2000, "currency": "usd"})
    yield
    world.control.arrive_payout(ours.id)
    yield


FLOWS: Mapping[str, Flow] = {
    flow.__name__: flow
    for flow in (checkout, invoice, refund, credit_note, dispute, subscription, payout)
}


def owing(tenant: SignedUp, units: int) -> Invoice:
    """A final invoice of March over `units` cents."""
    contract(tenant.tenant.id, book_id=book(CENT))
    used(tenant.tenant.id, "work", units, on(MARCH, 3))
    return stated(tenant.tenant.id, MARCH)


def spend(tenant: SignedUp, units: int) -> None:
    """Use `units` cents of credit now."""
    contract(tenant.tenant.id, book_id=book(CENT))
    used(tenant.tenant.id, "work", units, dt.datetime.now(dt.UTC))


def paid_by_transfer(tenant: SignedUp, bill: Invoice, amount: str) -> Payment:
    with system_scope():
        return payment_receive(
            actor=operator_of(tenant.tenant.id),
            provider="manual",
            external_id=f"bank-{bill.id}",
            amount=Money.of(amount, "USD"),
            invoice_id=bill.id,
        )


def pay_on_page(world: World, bill: Invoice, method: str = "pm_card_visa") -> Any:
    """A customer pays what is left on Stripe's page of an invoice."""
    with system_scope():
        row = StripeObject.objects.get(kind="invoice", our_id=bill.id)
    return world.api.v1.invoices.pay(row.stripe_id, {"payment_method": method})


def credited(bill: Invoice, net: str | None, to: str = "payer") -> CreditNote:
    with system_scope():
        line = InvoiceLine.objects.filter(invoice=bill).first()
        return credit_note_issue(
            actor=operator_of(bill.tenant_id),
            invoice_id=bill.id,
            key=f"complaint {net}",
            reason="complaint",
            to=to,
            lines={line.id: Decimal(net)} if net else None,
        )


def onboard(tenant: SignedUp) -> None:
    """A partner asks for Stripe's onboarding."""
    with tenant_scope(tenant.tenant.id):
        tax_profile_set(actor=owner_of(tenant), profile=NewProfile(country="US"))
        onboarding_start(actor=owner_of(tenant), back=BACK)


def earned(tenant: SignedUp, amount: str, currency: str = "USD") -> None:
    """A share that may be paid out, as the marketplace will post it."""
    money, mine = Money.of(amount, currency), tenant.tenant.id
    with system_scope():
        transaction_post(
            tenant_id=mine,
            key=f"share {amount}",
            kind="partner_share",
            postings=[
                NewPosting(AccountKind.PARTNER_SHARE, money),
                NewPosting(AccountKind.PARTNER_AVAILABLE, -money, tenant_id=mine),
            ],
        )
