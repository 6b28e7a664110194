"""Objects that many tests need, made through the real SDK."""

from __future__ import annotations

from typing import Any

from stripe import StripeClient

from tests.stripe_server.control import Control


def client_of(control: Control, *, retries: int = 0) -> StripeClient:
    names = ("api", "connect", "files", "meter_events")
    addresses: Any = dict.fromkeys(names, control.url)
    return StripeClient("sk_test_local", base_addresses=addresses, max_network_retries=retries)


def customer(stripe: StripeClient, **fields: Any) -> str:
    params: Any = {"name": "Acme", **fields}
    return str(stripe.v1.customers.create(params).id)


def top_up_session(stripe: StripeClient, amount: int = 5000, currency: str = "usd") -> Any:
    """An open Checkout page."""
    price: Any = {"currency": currency, "unit_amount": amount, "product_data": {"name": "Credit"}}
    return stripe.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "customer": customer(stripe),
            "line_items": [{"price_data": price, "quantity": 1}],
            "success_url": "http://127.0.0.1/",
        }
    )


def paid_intent(
    stripe: StripeClient, amount: int = 5000, method: str = "pm_card_visa", **fields: Any
) -> Any:
    """A PaymentIntent that was confirmed at once, with its charge and balance transaction."""
    params: Any = {
        "amount": amount,
        "currency": "usd",
        "payment_method": method,
        "confirm": True,
        "expand": ["latest_charge.balance_transaction"],
        **fields,
    }
    return stripe.v1.payment_intents.create(params)


def open_invoice(stripe: StripeClient, *amounts: int, currency: str = "usd", **fields: Any) -> Any:
    """A finalised invoice over these amounts, which nothing collects by itself."""
    v1 = stripe.v1
    payer = fields.pop("customer", None) or customer(stripe)
    params: Any = {"customer": payer, "currency": currency, **fields}
    invoice = v1.invoices.create(params)
    for amount in amounts:
        v1.invoice_items.create(
            {"customer": payer, "invoice": invoice.id, "amount": amount, "currency": currency}
        )
    return v1.invoices.finalize_invoice(invoice.id, {"auto_advance": False})


def active_account(stripe: StripeClient, control: Control) -> str:
    """A partner's account that may receive transfers."""
    account = stripe.v1.accounts.create({"capabilities": {"transfers": {"requested": True}}})
    control.onboard(account.id)
    return str(account.id)


def kinds_of(events: list[bytes]) -> list[str]:
    import json

    return [json.loads(event)["type"] for event in events]
