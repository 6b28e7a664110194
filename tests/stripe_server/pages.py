"""The pages that people meet: Checkout, the Billing Portal, an invoice, a receipt, onboarding.

Plain forms, on which the payment method is one of Stripe's test ones. What a button does is what
the door does in tests. https://docs.stripe.com/payments/checkout
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from html import escape

from tests.stripe_server.errors import Refused
from tests.stripe_server.resources.checkout import session_pay
from tests.stripe_server.resources.connect import account_onboard
from tests.stripe_server.resources.currencies import decimals
from tests.stripe_server.resources.invoice_payments import invoice_charge
from tests.stripe_server.store import Object, Store

METHODS = {
    "pm_card_visa": "Visa 4242, which pays",
    "pm_card_mastercard": "Mastercard 4444, which pays",
    "pm_usBankAccount_success": "a bank debit, which pays some days later",
    "pm_card_visa_chargeDeclined": "a card that is declined",
    "pm_card_chargeDeclinedInsufficientFunds": "a card with insufficient funds",
}
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem}"
    "button,select{font:inherit;padding:.4rem .8rem}.error{color:#b00020}small{color:#666}"
)


@dataclass(frozen=True)
class Page:
    """A page, or the way back to the one who sent the person here."""

    title: str = ""
    body: str = ""
    to: str = ""
    status: int = 200

    @property
    def html(self) -> bytes:
        note = "<small>A test server on this machine: no money moves.</small>"
        head = f"<meta charset=utf-8><title>{escape(self.title)}</title><style>{STYLE}</style>"
        text = f"<!doctype html>{head}<h1>{escape(self.title)}</h1>{self.body}<p>{note}"
        return text.encode()


@dataclass(frozen=True)
class Visit:
    """`form`: what the person has sent, None for one who looks."""

    store: Store
    id: str
    form: Mapping[str, str] | None = field(default=None)

    @property
    def method(self) -> str:
        return (self.form or {}).get("method", "pm_card_visa")


def page_of(store: Store, path: str, form: Mapping[str, str] | None) -> Page | None:
    """The page at a path; None where there is none. A form that is sent is acted upon."""
    for prefix, show in PAGES.items():
        if path.startswith(prefix):
            visit = Visit(store, path.removeprefix(prefix).partition("/")[0], form)
            try:
                return show(visit)
            except Refused as refusal:
                return Page("Not possible", _error(str(refusal)), status=refusal.status)
    return None


def _checkout(visit: Visit) -> Page:
    session = visit.store.get("checkout.session", visit.id)
    is_setup = session["mode"] == "setup"
    title = "Save a payment method" if is_setup else f"Pay {_money(session, 'amount_total')}"
    if session["status"] != "open":
        return Page(f"This page is {session['status']}", _back(session["success_url"]))
    said = ""
    if visit.form is not None:
        try:
            session_pay(visit.store, visit.id, visit.method)
            return Page(to=session["success_url"])
        except Refused as refusal:
            said = _error(str(refusal))
    button = "Save" if is_setup else "Pay"
    return Page(title, said + _form(button, METHODS) + _back(session["cancel_url"]))


def _portal(visit: Visit) -> Page:
    store = visit.store
    session = store.get("billing_portal.session", visit.id)
    methods = [
        f"<li>{escape(one['type'])} {escape(str((one.get('card') or {}).get('last4', '')))}"
        for one in store.where("payment_method", customer=session["customer"])
    ]
    bills = [
        f"<li><a href='{escape(one['hosted_invoice_url'])}'>{escape(one['number'])}</a> "
        f"{_money(one, 'total')}, {escape(one['status'])}"
        for one in store.where("invoice", customer=session["customer"])
        if one.get("hosted_invoice_url")
    ]
    body = f"<h2>Payment methods</h2><ul>{''.join(methods)}</ul>"
    body += f"<h2>Invoices</h2><ul>{''.join(bills)}</ul>"
    return Page("Billing", body + _back(session["return_url"]))


def _invoice(visit: Visit) -> Page:
    invoice = visit.store.get("invoice", visit.id)
    lines = [
        f"<li>{escape(line['description'] or '')}: {_amount(line['amount'], invoice['currency'])}"
        for line in invoice["lines"]["data"]
    ]
    said = ""
    if visit.form is not None and invoice["status"] == "open":
        try:
            invoice_charge(visit.store, invoice, visit.method)
        except Refused as refusal:
            said = _error(str(refusal))
    body = f"<ul>{''.join(lines)}</ul><p>{escape(invoice['status'])}"
    if invoice["status"] == "open":
        left = _money(invoice, "amount_remaining")
        body += f", {left} left{_form('Pay', METHODS)}"
    return Page(f"Invoice {invoice['number']}", said + body)


def _receipt(visit: Visit) -> Page:
    charge = visit.store.get("charge", visit.id)
    back = f", {_money(charge, 'amount_refunded')} refunded" if charge["amount_refunded"] else ""
    return Page("Receipt", f"<p>{_money(charge, 'amount')} paid{back}")


def _onboarding(visit: Visit) -> Page:
    account = visit.store.get("account", visit.id)
    if visit.form is not None:
        account_onboard(visit.store, visit.id)
        return Page(to=account.get("_return_url") or "/")
    return Page("Tell us who you are", _form("Complete with test data", {}))


PAGES: Mapping[str, Callable[[Visit], Page]] = {
    "/c/pay/": _checkout,
    "/p/session/": _portal,
    "/i/": _invoice,
    "/receipts/": _receipt,
    "/setup/": _onboarding,
}


def _form(button: str, methods: Mapping[str, str]) -> str:
    options = "".join(f"<option value={name}>{escape(text)}" for name, text in methods.items())
    choice = f"<select name=method>{options}</select> " if methods else ""
    return f"<form method=post>{choice}<button>{escape(button)}</button></form>"


def _back(url: str | None) -> str:
    return f"<p><a href='{escape(url)}'>Back</a>" if url else ""


def _error(text: str) -> str:
    return f"<p class=error role=alert>{escape(text)}</p>"


def _money(one: Object, name: str) -> str:
    return _amount(one[name], one["currency"])


def _amount(minor: int, currency: str) -> str:
    """Stripe's smallest unit for eyes."""
    return escape(f"{Decimal(minor).scaleb(-decimals(currency))} {currency.upper()}")
