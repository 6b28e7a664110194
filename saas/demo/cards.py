"""The demo's payments through Stripe: a card, a top-up, a subscription, an invoice and its payment.

Stripe is its counterpart on this machine (`STRIPE=local`), whose pages a person would click on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import httpx

from saas.demo.identities import DemoFailed
from saas.demo.money import PATIENCE_S, Account
from saas.demo.narration import Narration
from saas.demo.waiting import wait_for
from saas.settings.environment import value
from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tenants.pricing.defaults import PRICES, DefaultPrice

TOP_UP = "15.00"
PLAN_FEE = "30.00"
HOUR = "25.00"  # of consulting
CREDIT_LIMIT = "100.00"
CARD = "pm_card_visa"  # of Stripe's test ones, the one that pays


def is_local() -> bool:
    """Whether Stripe's counterpart runs here."""
    return value("STRIPE") == "local"


def save_card(customer: Account) -> str:
    """Save a card on Stripe's page; return its brand and last digits."""
    _visit(customer, "/v1/payment_methods", {})
    methods: list[dict[str, Any]] = wait_for(
        "the saved card",
        lambda: customer.get("/v1/payment_methods")["data"],
        limit_s=PATIENCE_S,
    )
    return f"{methods[0]['brand']} {methods[0]['last4']}"


def top_up(customer: Account) -> Mapping[str, Any]:
    """Buy credit on a Checkout page; return the wallet."""
    _visit(customer, "/v1/wallet/top_ups", {"amount": TOP_UP})
    wallet: Mapping[str, Any] = customer.get("/v1/wallet")
    return wallet


def subscribe(operator: Account, tenant: str) -> Mapping[str, Any]:
    """A plan with a fee, collected through Stripe; return the subscription once it is active."""
    contract = operator.post("/operator/v1/contracts", {"tenant_id": tenant, "plan_fee": PLAN_FEE})
    path = f"/operator/v1/contracts/{contract['id']}/subscription"
    operator.post(path, {})

    def active() -> Mapping[str, Any] | None:
        found: Mapping[str, Any] = operator.get(path)
        if found["status"] == "refused":
            raise DemoFailed(f"Stripe refused the subscription: {found['error']}")
        return found if found["status"] == "active" else None

    return wait_for("the subscription", active, limit_s=PATIENCE_S)


def consult(customer: Account, operator: Account, hours: int) -> None:
    """Agree on a price for an hour, to be paid afterwards, and count the hours."""
    book = operator.post("/operator/v1/price_books", {"name": "Consulting"})
    prices = {"prices": [_price(listed) for listed in PRICES]}
    draft = operator.post(f"/operator/v1/price_books/{book['id']}/versions", prices)
    operator.post(f"/operator/v1/price_versions/{draft['id']}/publish", {})
    terms = {"tenant_id": customer.identity.tenant, "book_id": book["id"]}
    operator.post("/operator/v1/contracts", {**terms, "credit_limit": CREDIT_LIMIT})
    event = {
        "key": f"consulting-{customer.identity.tenant}",
        "meter": "service.units",
        "quantity": str(hours),
        "event_time": dt.datetime.now(dt.UTC).isoformat(),
        "source": "timesheet",
        "dimensions": {"service": "consulting"},
    }
    customer.post("/v1/usage/events", event)


def leave(operator: Account, tenant: str) -> Mapping[str, Any]:
    """The customer leaves: what is owed is invoiced at once; return the invoice once it is paid."""
    operator.post(f"/operator/v1/tenants/{tenant}/close", {"reason": "the demo is over"})

    def paid() -> Mapping[str, Any] | None:
        rows = operator.get("/operator/v1/invoices", tenant=tenant)["data"]
        return next((r for r in rows if r["kind"] == "usage" and r["state"] == "paid"), None)

    return wait_for("the invoice's payment", paid, limit_s=PATIENCE_S)


def tell_payment(narration: Narration, invoice: Mapping[str, Any]) -> None:
    names = ("total", "promotion", "due", "paid")
    said = ", ".join(f"{name} {invoice[name]}" for name in names)
    narration.say(
        f"client     has had 2 hours at {HOUR} and leaves: invoice {invoice['number']}, {said} "
        f"{invoice['currency']}, is {invoice['state']} by card"
    )


def reconcile(narration: Narration) -> None:
    """Lay Stripe's books beside ours. Raises DemoFailed where they differ."""
    found = stripe_reconcile()
    if found.differences:
        told = ", ".join(f"{one.kind} {one.subject}" for one in found.differences)
        raise DemoFailed(f"Stripe and the ledger differ: {told}")
    narration.say("Stripe's balance and payments agree with the ledger")


def _price(listed: DefaultPrice) -> Mapping[str, Any]:
    """An hour at its price; tokens, which no consultant needs, far above what they may cost."""
    charge: Mapping[str, Any] = listed.charge
    if listed.meter == "service.units" and not listed.match:
        charge = {"model": "standard", "unit": HOUR}
    elif listed.meter.startswith("tokens."):
        charge = {"model": "standard", "unit": "0.001"}
    names = {"meter": listed.meter, "match": dict(listed.match), "revenue": listed.revenue}
    return {**names, "charge": charge}


def _visit(customer: Account, path: str, body: Mapping[str, Any]) -> None:
    """Ask for a page of Stripe's, and fill it in as a person would."""
    asked = customer.post(path, body)["id"]

    def state(*wanted: str) -> Mapping[str, Any]:
        def look() -> Mapping[str, Any] | None:
            found: Mapping[str, Any] = customer.get(f"/v1/payment_visits/{asked}")
            if found["error"]:
                raise DemoFailed(f"Stripe's page: {found['error']}")
            return found if found["status"] in wanted else None

        return wait_for(f"Stripe's page to be {wanted[0]}", look, limit_s=PATIENCE_S)

    answer = httpx.post(state("ready")["url"], data={"method": CARD}, timeout=30)
    if answer.status_code != httpx.codes.SEE_OTHER:
        raise DemoFailed(f"Stripe's page answered {answer.status_code}: {answer.text}")
    state("done")
