"""The pages do what their buttons say."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from stripe import StripeClient

from tests.stripe_server.control import Control
from tests.stripe_server.factories import customer, open_invoice, top_up_session


def press(url: str, **form: str) -> httpx.Response:
    return httpx.post(url, data=form)


def test_checkout_shows_the_amount_and_leads_back_once_it_is_paid(stripe: StripeClient) -> None:
    session = top_up_session(stripe, 1250)
    assert "Pay 12.50 USD" in httpx.get(session.url).text
    paid = press(session.url, method="pm_card_visa")
    assert (paid.status_code, paid.headers["location"]) == (303, "http://127.0.0.1/")
    assert stripe.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
    assert "This page is complete" in httpx.get(session.url).text


@pytest.mark.parametrize(("currency", "said"), [("jpy", "5000 JPY"), ("kwd", "5.000 KWD")])
def test_amounts_are_told_with_the_currencys_decimals(
    stripe: StripeClient, currency: str, said: str
) -> None:
    assert f"Pay {said}" in httpx.get(top_up_session(stripe, currency=currency).url).text


def test_a_declined_card_leaves_the_page_open(stripe: StripeClient) -> None:
    session = top_up_session(stripe)
    answer = press(session.url, method="pm_card_visa_chargeDeclined")
    assert "Your card was declined." in answer.text
    assert "<form" in answer.text
    assert stripe.v1.checkout.sessions.retrieve(session.id).status == "open"


def test_a_saved_method_and_an_invoice_are_on_the_portal(stripe: StripeClient) -> None:
    payer = customer(stripe)
    asked: Any = {"mode": "setup", "customer": payer, "currency": "usd", "success_url": "http://x/"}
    page = stripe.v1.checkout.sessions.create(asked)
    assert page.url is not None
    assert press(page.url, method="pm_card_visa").status_code == 303
    bill = open_invoice(stripe, 1000, customer=payer)
    portal = stripe.v1.billing_portal.sessions.create({"customer": payer, "return_url": "http://x"})
    text = httpx.get(portal.url).text
    assert "4242" in text
    assert f"{bill.hosted_invoice_url}'>{bill.number}</a> 10.00 USD, open" in text


def test_an_invoice_is_paid_on_its_page_and_has_a_receipt(stripe: StripeClient) -> None:
    bill = open_invoice(stripe, 1000)
    assert "10.00 USD left" in httpx.get(bill.hosted_invoice_url).text
    assert "<form" not in press(bill.hosted_invoice_url, method="pm_card_visa").text
    assert stripe.v1.invoices.retrieve(bill.id).status == "paid"
    (charge,) = stripe.v1.charges.list({"customer": str(bill.customer)}).data
    assert charge.receipt_url is not None
    assert "10.00 USD paid" in httpx.get(charge.receipt_url).text


def test_a_partner_completes_onboarding(stripe: StripeClient) -> None:
    params: Any = {"type": "express", "capabilities": {"transfers": {"requested": True}}}
    account = stripe.v1.accounts.create(params)
    back: Any = {"return_url": "http://x/back", "refresh_url": "http://x/again"}
    link = stripe.v1.account_links.create(
        {"account": account.id, "type": "account_onboarding", **back}
    )
    done = press(link.url)
    assert (done.status_code, done.headers["location"]) == (303, "http://x/back")
    assert stripe.v1.accounts.retrieve(account.id).details_submitted


def test_what_is_typed_by_others_is_no_markup(stripe: StripeClient) -> None:
    payer = customer(stripe)
    bill = stripe.v1.invoices.create({"customer": payer, "currency": "usd"})
    stripe.v1.invoice_items.create(
        {"customer": payer, "invoice": bill.id, "amount": 1000, "currency": "usd",
         "description": "<script>alert(1)</script>"}
    )  # fmt: skip
    final = stripe.v1.invoices.finalize_invoice(bill.id)
    assert final.hosted_invoice_url is not None
    assert "<script>" not in httpx.get(final.hosted_invoice_url).text


def test_there_is_no_page_for_what_does_not_exist(control: Control) -> None:
    answer = httpx.get(f"{control.url}/c/pay/cs_test_none")
    assert (answer.status_code, "No such" in answer.text) == (404, True)
