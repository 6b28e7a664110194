"""The parameter check itself: right requests are accepted, wrong ones refused in Stripe's words."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from stripe import InvalidRequestError, StripeClient

from tests.stripe_server.contract import operations
from tests.stripe_server.control import Control
from tests.stripe_server.forms import form_decode
from tests.stripe_server.schema import fields_of, required_of

PRICE = "line_items[0][price_data]"
LINE = f"{PRICE}[currency]=usd&{PRICE}[unit_amount]=500&{PRICE}[product_data][name]=x"
MONTHLY = "product_data[name]=x&recurring[interval]=month"
RIGHT = [
    ("POST", "/v1/customers", ""),
    ("POST", "/v1/customers", "name=Acme&address[city]=Berlin&metadata[a]=1"),
    ("POST", "/v1/customers", "metadata="),
    ("POST", "/v1/customers", "address="),
    ("POST", "/v1/customers", "preferred_locales[0]=de&preferred_locales[1]=en"),
    ("POST", "/v1/customers", "tax_exempt=reverse&balance=-250"),
    ("GET", "/v1/customers", "limit=3&created[gte]=1700000000"),
    ("GET", "/v1/customers", "created=1700000000&email=a@b.c"),
    ("POST", "/v1/payment_intents", "amount=500&currency=usd"),
    ("POST", "/v1/payment_intents", "amount=500&currency=jpy&metadata[k]=v&capture_method=manual"),
    ("POST", "/v1/products", "name=Plan&active=true"),
    ("POST", "/v1/prices", "currency=usd&unit_amount_decimal=0.000000000001&product_data[name]=x"),
    ("POST", "/v1/prices", f"currency=usd&unit_amount=5&{MONTHLY}"),
    ("POST", "/v1/checkout/sessions", f"mode=payment&{LINE}"),
    ("POST", "/v1/checkout/sessions", "mode=setup&currency=usd&success_url=http://127.0.0.1/"),
    ("POST", "/v1/accounts", "country=DE&capabilities[transfers][requested]=true"),
    ("POST", "/v1/billing/meters", "display_name=T&event_name=t1&default_aggregation[formula]=sum"),
    ("GET", "/v1/balance", ""),
    ("GET", "/v1/events", "types[0]=invoice.paid&types[1]=invoice.created"),
    ("POST", "/v1/test_helpers/test_clocks", "frozen_time=1700000000&name=run"),
]  # fmt: skip
UNKNOWN, MISSING = "parameter_unknown", "parameter_missing"
INTEGER, EMPTY = "parameter_invalid_integer", "parameter_invalid_empty"
WRONG = [
    ("POST", "/v1/customers", "nam=Acme", "nam", UNKNOWN),
    ("POST", "/v1/customers", "address[town]=Berlin", "address[town]", UNKNOWN),
    ("POST", "/v1/customers", "shipping[address][zip]=1&shipping[name]=x",
     "shipping[address][zip]", UNKNOWN),
    ("POST", "/v1/customers", "tax_exempt=sometimes", "tax_exempt", None),
    ("POST", "/v1/customers", "balance=1.5", "balance", INTEGER),
    ("POST", "/v1/customers", "address=Berlin", "address", None),
    ("POST", "/v1/customers", "name[first]=A", "name", None),
    ("POST", "/v1/customers", "name=", "name", EMPTY),
    ("POST", "/v1/customers", "preferred_locales=de", "preferred_locales", None),
    ("GET", "/v1/customers", "limit=ten", "limit", INTEGER),
    ("GET", "/v1/customers", "created[after]=1", "created[after]", UNKNOWN),
    ("POST", "/v1/payment_intents", "amount=500", "currency", MISSING),
    ("POST", "/v1/payment_intents", "currency=usd", "amount", MISSING),
    ("POST", "/v1/payment_intents", "amount=500&currency=usd&confirm=yes", "confirm", None),
    ("POST", "/v1/payment_intents", "amount=500&currency=usd&source=tok_visa", "source", UNKNOWN),
    ("POST", "/v1/subscriptions", "customer=c&items[0][price]=p&coupon=half", "coupon", UNKNOWN),
    ("POST", "/v1/subscriptions", "customer=c&items[0][amount]=5", "items[0][amount]", UNKNOWN),
    ("POST", "/v1/prices", "currency=usd&unit_amount_decimal=1,5&product=p",
     "unit_amount_decimal", None),
    ("POST", "/v1/billing/meters", "display_name=T&event_name=t&default_aggregation[formula]=avg",
     "default_aggregation[formula]", None),
    ("POST", "/v1/billing/meters", "display_name=T&event_name=t", "default_aggregation", MISSING),
]  # fmt: skip
AUTHORISED = {"Authorization": "Bearer sk_test_local"}


def ask(control: Control, method: str, path: str, text: str, **headers: str) -> httpx.Response:
    return httpx.request(
        method,
        f"{control.url}{path}{f'?{text}' if method == 'GET' else ''}",
        content=text if method == "POST" else None,
        headers={**AUTHORISED, **headers},
    )


def by_sdk(stripe: StripeClient, method: str, path: str, text: str) -> dict[str, Any]:
    """The answer to a form that is written out, through the SDK's own encoder and transport."""
    answer = stripe.raw_request(method.lower(), path, **form_decode(text))
    found: dict[str, Any] = dict(answer.data)
    return found


def test_every_operation_of_the_sdk_is_known_with_its_types() -> None:
    found = operations()
    assert len(found) == 648
    for operation in found:
        assert operation.typed is not None, operation
        assert required_of(operation.typed) <= fields_of(operation.typed).keys()


def test_there_are_twenty_of_each() -> None:
    assert len(RIGHT) == len(WRONG) == 20


@pytest.mark.parametrize(("method", "path", "text"), RIGHT)
def test_a_right_request_is_accepted(
    stripe: StripeClient, method: str, path: str, text: str
) -> None:
    """Encoded and sent by the SDK itself."""
    assert by_sdk(stripe, method, path, text)["object"]


@pytest.mark.parametrize(("method", "path", "text", "param", "code"), WRONG)
def test_a_wrong_request_is_refused(
    stripe: StripeClient, method: str, path: str, text: str, param: str, code: str | None
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        by_sdk(stripe, method, path, text)
    assert raised.value.http_status == 400
    assert (raised.value.param, raised.value.code) == (param, code)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"include": ["identity"], "identity": {"country": "us"}}, None),
        ({"includes": []}, "includes"),
        ({"identity": {"country": 5}}, "identity[country]"),
        ({"include": "identity"}, "include"),
    ],
)
def test_json_requests_are_checked_too(control: Control, body: Any, param: str | None) -> None:
    """Of the second API, whose values have types of their own."""
    answer = httpx.post(f"{control.url}/v2/core/accounts", json=body, headers=AUTHORISED)
    error = answer.json()["error"]
    if param is None:  # right, and there is no state behind it
        assert answer.status_code == 501
    else:
        assert (answer.status_code, error["param"]) == (400, param)


@pytest.mark.parametrize("key", ["", "Bearer sk_live_1", "Bearer pk_test_1", "Basic abc"])
def test_only_test_keys_are_taken(control: Control, key: str) -> None:
    answer = ask(control, "GET", "/v1/balance", "", Authorization=key)
    assert answer.status_code == 401


def test_an_address_that_does_not_exist_is_told(control: Control) -> None:
    answer = ask(control, "GET", "/v1/custommers", "")
    assert answer.status_code == 404
    assert "Unrecognized request URL" in answer.json()["error"]["message"]


def test_an_operation_without_state_says_so(control: Control) -> None:
    answer = ask(control, "GET", "/v1/coupons", "")
    assert (answer.status_code, answer.json()["error"]["type"]) == (501, "api_error")
