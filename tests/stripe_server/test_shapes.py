"""No answer holds a field that the SDK's class of its object does not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stripe import StripeClient
from stripe._object_classes import get_object_class

from tests.stripe_server.control import Control
from tests.stripe_server.factories import active_account, open_invoice, paid_intent, top_up_session
from tests.stripe_server.store import PREFIXES

ENVELOPE = frozenset({"object", "id", "created", "livemode", "metadata"})  # of every object here


def within(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in an answer."""
    if isinstance(value, dict):
        if isinstance(value.get("object"), str):
            yield value
        for part in value.values():
            yield from within(part)
    elif isinstance(value, list):
        for part in value:
            yield from within(part)


def strange_fields(answer: Any) -> set[str]:
    found = set()
    for one in within(answer):
        if one["object"] not in PREFIXES:
            continue
        typed = get_object_class("V1", one["object"])
        known = {name for base in typed.__mro__ for name in getattr(base, "__annotations__", {})}
        found |= {f"{one['object']}.{name}" for name in one.keys() - known - ENVELOPE}
    return found


def test_no_field_is_invented(control: Control, stripe: StripeClient) -> None:
    invoice = open_invoice(stripe, 1000)
    stripe.v1.invoices.pay(invoice.id, {"payment_method": "pm_card_visa"})
    stripe.v1.refunds.create({"payment_intent": paid_intent(stripe).id})
    paid_intent(stripe, method="pm_card_createDispute")
    control.pay_session(top_up_session(stripe).id)
    partner = active_account(stripe, control)
    charge = paid_intent(stripe).latest_charge.id
    sent = stripe.v1.transfers.create(
        {"amount": 900, "currency": "usd", "destination": partner, "source_transaction": charge}
    )
    stripe.v1.transfers.reversals.create(sent.id, {"amount": 100})
    price = stripe.v1.prices.create(
        {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Plan"},
         "recurring": {"interval": "month"}}
    )  # fmt: skip
    stripe.v1.subscriptions.create(
        {"customer": str(invoice.customer), "items": [{"price": price.id}]}
    )
    v1 = stripe.v1
    lists: list[Any] = [
        v1.customers, v1.payment_intents, v1.charges, v1.refunds, v1.disputes, v1.invoices,
        v1.invoice_items, v1.invoice_payments, v1.balance_transactions, v1.transfers, v1.accounts,
        v1.prices, v1.products, v1.subscriptions, v1.checkout.sessions, v1.events,
    ]  # fmt: skip
    answers: list[Any] = [service.list({"limit": 100}).to_dict() for service in lists]
    assert all(answer["data"] for answer in answers)
    assert set().union(*map(strange_fields, answers)) == set()
