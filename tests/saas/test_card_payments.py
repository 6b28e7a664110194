"""Paying by card, as customers meet it: over the API and in the console; and what staff see of it.

Stripe is the loopback server; relay, workers and web are `world.settle`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tenants.kernel.scope import system_scope
from tests.saas.api.factories import Caller, operator_caller, tenant_caller
from tests.saas.console.factories import Person, operator_make, owner_of
from tests.tenants.billing.factories import contract
from tests.tenants.billing.stripe.conftest import world  # noqa: F401 -- a fixture
from tests.tenants.billing.stripe.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(world: World) -> Caller:  # noqa: F811
    return tenant_caller("Acme")


@pytest.fixture
def owner(world: World) -> Person:  # noqa: F811
    return owner_of("Acme")


def session_of(url: str) -> str:
    return url.rsplit("/", 1)[1]


def tenant_of(api: Caller) -> str:
    assert api.tenant is not None
    return api.tenant.id


def visited(api: Caller, path: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = api.post(path, body)
    assert reply.status == 201, reply.content
    return dict(reply.json)


def test_a_top_up_over_the_api_becomes_credit(world: World, api: Caller) -> None:  # noqa: F811
    before = float(api.get("/v1/wallet").json["available"])
    asked = visited(api, "/v1/wallet/top_ups", {"amount": "25.00"})
    assert (asked["status"], asked["url"], asked["amount"]) == ("asked", None, "25")
    world.settle()
    ready = api.get(f"/v1/payment_visits/{asked['id']}").json
    assert ready["status"] == "ready"
    world.control.pay_session(session_of(ready["url"]))
    world.settle()
    done = api.get(f"/v1/payment_visits/{asked['id']}").json
    assert (done["status"], done["url"]) == ("done", None)
    assert done["payment_id"].startswith("pay_")
    wallet = api.get("/v1/wallet").json
    assert float(wallet["available"]) == before + 25
    assert any(g["source"].startswith("stripe") for g in wallet["grants"])


def test_a_saved_card_is_listed_and_its_number_is_not(world: World, api: Caller) -> None:  # noqa: F811
    assert api.get("/v1/payment_methods").json["data"] == []
    asked = visited(api, "/v1/payment_methods", {})
    world.settle()
    url = api.get(f"/v1/payment_visits/{asked['id']}").json["url"]
    world.control.pay_session(session_of(url))
    world.settle()
    (method,) = api.get("/v1/payment_methods").json["data"]
    assert method.pop("id").startswith("pm_")
    assert method == {
        "object": "payment_method",
        "type": "card",
        "brand": "visa",
        "last4": "4242",
        "exp_month": 12,
        "exp_year": 2040,
        "default": True,
    }


def test_staff_collect_a_plan_fee_by_subscription_and_stop(world: World, api: Caller) -> None:  # noqa: F811
    staff = operator_caller()
    terms = {"tenant_id": tenant_of(api), "plan_fee": "49.00"}
    made = staff.post("/operator/v1/contracts", terms).json
    path = f"/operator/v1/contracts/{made['id']}/subscription"
    assert staff.get(path).json["status"] == ""
    refused = staff.post(path, {})
    assert (refused.status, refused.error["code"]) == (409, "payment_method_missing")
    saved = visited(api, "/v1/payment_methods", {})
    world.settle()
    url = api.get(f"/v1/payment_visits/{saved['id']}").json["url"]
    world.control.pay_session(session_of(url))
    world.settle()
    started = staff.post(path, {})
    assert (started.status, started.json["status"]) == (201, "starting")
    world.settle()
    found = staff.get(path).json
    assert (found["status"], found["stripe_id"][:4]) == ("active", "sub_")
    assert staff.post(f"{path}/cancel", {}).json["status"] == "ending"
    world.settle()
    assert staff.get(path).json["status"] == "canceled"


def test_a_subscription_is_only_of_the_contract_in_force(world: World, api: Caller) -> None:  # noqa: F811
    staff = operator_caller()
    terms = {"tenant_id": tenant_of(api), "plan_fee": "49.00"}
    former = staff.post("/operator/v1/contracts", terms).json
    staff.post("/operator/v1/contracts", terms)
    assert staff.post(f"/operator/v1/contracts/{former['id']}/subscription", {}).status == 409
    assert staff.get("/operator/v1/contracts/contract_none/subscription").status == 404


def test_the_portal_is_opened(world: World, api: Caller) -> None:  # noqa: F811
    asked = visited(api, "/v1/billing_portal", {})
    world.settle()
    url = api.get(f"/v1/payment_visits/{asked['id']}").json["url"]
    assert url.startswith(f"{world.control.url}/p/session/")


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/wallet/top_ups", {}, "amount"),
        ("/v1/wallet/top_ups", {"amount": "0"}, "amount"),
        ("/v1/wallet/top_ups", {"amount": "-5"}, "amount"),
        ("/v1/wallet/top_ups", {"amount": "5.001"}, "amount"),
        ("/v1/wallet/top_ups", {"amount": "99999999"}, "amount"),
        ("/v1/wallet/top_ups", {"amount": "5", "back": "https://evil.example/"}, "back"),
        ("/v1/payment_methods", {"back": "//evil.example/"}, "back"),
    ],
)
def test_what_cannot_be_paid_is_refused(
    api: Caller, path: str, body: dict[str, str], param: str
) -> None:
    reply = api.post(path, body)
    assert (reply.status, reply.error["param"]) == (400, param), reply.content


def test_without_a_key_card_payments_are_off(settings: Any, api: Caller) -> None:
    settings.STRIPE_SECRET_KEY = ""
    reply = api.post("/v1/wallet/top_ups", {"amount": "5"})
    assert (reply.status, reply.error["code"]) == (409, "stripe_off")
    assert api.get("/v1/payment_methods").json["data"] == []


def test_another_organisation_finds_no_visit_of_ours(api: Caller) -> None:
    asked = visited(api, "/v1/wallet/top_ups", {"amount": "5"})
    assert tenant_caller("Rival").get(f"/v1/payment_visits/{asked['id']}").status == 404


def test_the_console_leads_to_stripe_and_back(world: World, owner: Person) -> None:  # noqa: F811
    asked = owner.post("/console/wallet/card/", amount="12.50")
    where = asked.headers["Location"]
    waiting = owner.get(where).content.decode()
    assert 'http-equiv="refresh"' in waiting
    world.settle()
    onward = owner.get(where)
    assert onward.status_code == 302
    world.control.pay_session(session_of(onward.headers["Location"]))
    world.settle()
    assert 'http-equiv="refresh"' not in owner.get(where).content.decode()
    shown = owner.get("/console/wallet/").content.decode()
    assert "Card or bank debit" in shown
    assert "12.50" in shown


def test_a_declined_card_can_be_tried_again(world: World, owner: Person) -> None:  # noqa: F811
    where = owner.post("/console/wallet/card/", amount="12.50").headers["Location"]
    world.settle()
    session = session_of(owner.get(where).headers["Location"])
    world.control.pay_session(session, "pm_card_visa_chargeDeclined")
    world.settle()
    assert owner.get(where).status_code == 302  # the page is still open
    world.control.pay_session(session)
    world.settle()
    assert "Done" in owner.get(where).content.decode()


def test_without_a_key_the_wallet_offers_transfers_only(settings: Any, owner: Person) -> None:
    assert "wallet/card/" in owner.get("/console/wallet/").content.decode()
    settings.STRIPE_SECRET_KEY = ""
    shown = owner.get("/console/wallet/").content.decode()
    assert "wallet/card/" not in shown
    assert "bank transfer" in shown


def test_staff_collect_a_plan_fee_from_the_contracts_page(
    world: World,  # noqa: F811
    owner: Person,
) -> None:
    operator = operator_make()
    with system_scope():
        contract_id = contract(owner.tenant.id, plan_fee=Decimal(49))
    page = f"/operations/pricing/contract/{contract_id}/"
    card = owner.post("/console/wallet/methods/new/")
    world.settle()
    world.control.pay_session(session_of(owner.get(card.headers["Location"]).headers["Location"]))
    world.settle()
    assert "Collect the plan fee through Stripe" in operator.get(f"{page}change/").content.decode()
    operator.post(f"{page}do/subscribe/")
    world.settle()
    shown = operator.get(f"{page}change/").content.decode()
    assert "active" in shown
    assert "Stop collecting through Stripe" in shown
    operator.post(f"{page}do/unsubscribe/")
    world.settle()
    assert "canceled" in operator.get(f"{page}change/").content.decode()


def test_staff_see_what_happened_and_close_a_finding(world: World, owner: Person) -> None:  # noqa: F811
    operator, staff = operator_make(), operator_caller()
    where = owner.post("/console/wallet/card/", amount="12.50").headers["Location"]
    world.settle()
    session = session_of(owner.get(where).headers["Location"])
    world.control.pay_session(session, "pm_card_createDispute")
    world.settle()
    for name, text in (
        ("stripecall", "checkout.create"),
        ("stripeevent", "charge.dispute.created"),
        ("stripeobject", "dispute"),
        ("stripefinding", "dispute_open"),
    ):
        shown = operator.get(f"/operations/stripe/{name}/")
        assert shown.status_code == 200, name
        assert text in shown.content.decode(), name
    found = staff.get("/operator/v1/stripe/findings?state=open").json["data"]
    (dispute,) = [row for row in found if row["kind"] == "dispute_open"]
    closed = staff.post(f"/operator/v1/stripe/findings/{dispute['id']}/close")
    assert closed.json["state"] == "closed"
    assert staff.post("/operator/v1/stripe/findings/find_x/close").status == 404
