"""What staff do with money over the API: each route's main path, and what it refuses."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from tenants.accounts.actors import system_actor
from tenants.accounts.models import Tenant
from tenants.accounts.roles import Role
from tenants.accounts.services import api_key_create, platform_tenant_ensure, tenant_sign_up
from tenants.billing.models import Invoice
from tenants.kernel.clock import now
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.selectors import unbalanced, wallet_balance
from tests.saas.api.factories import PASSWORD, Caller
from tests.saas.api.routes import api_routes
from tests.saas.money import billed, cost_measured, in_grace, stray_transfer, top_up
from tests.tenants.billing.factories import used

pytestmark = pytest.mark.django_db

DAY = 86_400


def unix(moment: dt.datetime) -> int:
    return int(moment.timestamp())


def penniless() -> Tenant:
    """A tenant without any credit: all that it uses is owed."""
    email = f"{new_id('x')}@example.com"
    return tenant_sign_up(organisation="Late", email=email, password=PASSWORD).tenant


def owing() -> Invoice:
    """An open invoice."""
    invoice = billed(penniless(), quantity=100_000_000).invoice
    assert invoice.state == "open"
    return invoice


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"tenant_id": "ten_x"}, 404),
        ({"invoice_id": "inv_x"}, 404),
        ({"amount": "0"}, 400),
        ({"amount": "-5"}, 400),
        ({"amount": "5.001"}, 400),
        ({"amount": "five"}, 400),
        ({"external_id": ""}, 400),
        ({"currency": "dollars"}, 400),
        ({"currency": "XYZ"}, 400),
        ({"currency": "XAU"}, 400),
        ({"amount": "NaN"}, 400),
        ({"amount": "Infinity"}, 400),
        ({"amount": "-0"}, 400),
        ({"amount": "9" * 26}, 400),
        ({"received_at": unix(now()) + DAY}, 400),
        ({"received_at": 253_402_300_799}, 400),
        ({"received_at": -1}, 400),
    ],
)
def test_a_faulty_payment_is_refused(
    api: Caller, operator: Caller, change: dict[str, Any], status: int
) -> None:
    assert api.tenant is not None
    body: dict[str, Any] = {"tenant_id": api.tenant.id, "external_id": "b-1", "amount": "5.00"}

    reply = operator.post("/operator/v1/payments", body | change)

    assert reply.status == status, reply.content
    assert operator.get("/operator/v1/payments").json["data"] == []
    assert api.get("/v1/wallet").json["available"] == "1000"


@pytest.mark.parametrize("currency", ["XYZ", "XAU", "usd"])
def test_credit_is_granted_in_no_invented_currency(
    api: Caller, operator: Caller, currency: str
) -> None:
    assert api.tenant is not None
    body = {"tenant_id": api.tenant.id, "amount": "5", "kind": "promotion", "reason": "sorry"}
    reply = operator.post("/operator/v1/grants", body | {"currency": currency})
    assert (reply.status, reply.json["error"]["param"]) == (400, "currency")
    assert "ISO 4217" in reply.json["error"]["message"]


def test_a_key_that_is_kept_for_ever_is_short_enough_to_keep(operator: Caller) -> None:
    invoice = owing()
    path = f"/operator/v1/invoices/{invoice.id}/credit_notes"
    body = {"reason": "sorry", "to": "invoice", "lines": None}
    reply = operator.post(path, body, idempotency_key="k" * 121)
    assert (reply.status, reply.json["error"]["param"]) == (400, "Idempotency-Key")
    assert operator.post(path, body, idempotency_key="k" * 120).status == 201


def test_a_payment_settles_its_invoice_and_what_is_too_much_is_credit(operator: Caller) -> None:
    invoice = owing()
    body = {
        "tenant_id": invoice.tenant_id,
        "external_id": "b-1",
        "amount": f"{invoice.remaining + 3}",
        "invoice_id": invoice.id,
    }

    taken = operator.post("/operator/v1/payments", body)
    late = operator.post("/operator/v1/payments", body | {"external_id": "b-2"})

    assert taken.status == 201, taken.content
    (shown,) = operator.get(f"/operator/v1/invoices?tenant={invoice.tenant_id}&state=paid").json[
        "data"
    ]
    assert (shown["id"], shown["remaining"]) == (invoice.id, "0")
    assert (late.status, late.error["code"]) == (409, "invoice_paid")
    with tenant_scope(invoice.tenant_id):
        left = wallet_balance(tenant_id=invoice.tenant_id, currency="USD").available
    assert left.amount == 3


def test_no_more_is_refunded_than_was_paid_and_is_unused(api: Caller, operator: Caller) -> None:
    assert api.tenant is not None
    where = f"/operator/v1/payments/{top_up(api.tenant, '20.00').id}/refunds"

    for amount in ("20.01", "0", "-1"):
        assert operator.post(where, {"amount": amount}).status == 400, amount
    first = operator.post(where, {"amount": "15"}, Idempotency_Key="r1")
    again = operator.post(where, {"amount": "15"}, Idempotency_Key="r1")
    beyond = operator.post(where, {"amount": "5.01"})

    assert (first.status, again.json["id"]) == (201, first.json["id"])
    assert (beyond.status, beyond.error["code"]) == (400, "refund_above_paid")
    (payment,) = operator.get(f"/operator/v1/payments?tenant={api.tenant.id}").json["data"]
    assert payment["refunded"] == "15"


def test_a_stray_transfer_is_assigned_once(operator: Caller) -> None:
    invoice = owing()
    stray = stray_transfer(f"{invoice.remaining}")
    where = f"/operator/v1/bank_transfers/{stray.pk}/assign"
    body = {"tenant_id": invoice.tenant_id, "invoice_number": invoice.number}

    nobody = operator.post(where, {"tenant_id": "ten_x"})
    nothing = operator.post(where, body | {"invoice_number": "INV-0"})
    assigned = operator.post(where, body)
    again = operator.post(where, body)

    assert (nobody.status, nothing.status, again.status) == (404, 400, 409)
    assert (assigned.status, assigned.json["state"]) == (200, "matched"), assigned.content
    assert assigned.json["tenant_id"] == invoice.tenant_id
    assert operator.get("/operator/v1/bank_transfers?state=unmatched").json["data"] == []
    with system_scope():
        assert Invoice.objects.get(pk=invoice.pk).state == "paid"


def test_a_statement_waits_for_approval_and_is_made_final(api: Caller, operator: Caller) -> None:
    assert api.tenant is not None
    where = f"/operator/v1/statements/{in_grace(api.tenant).id}"

    assert operator.post(f"{where}/approval", {"required": True}).json["approval"] is True
    early = operator.post(f"{where}/finalise")
    approved = operator.post(f"{where}/approve")
    final = operator.post(f"{where}/finalise")

    assert (early.status, early.error["code"]) == (409, "statement_approval")
    assert approved.json["approved_at"] is not None
    assert (final.status, final.json["state"]) == (200, "final"), final.content
    assert operator.post(f"{where}/approval", {"required": False}).status == 409
    assert operator.post(f"{where}/approve").status == 409
    (invoice,) = operator.get(f"/operator/v1/invoices?tenant={api.tenant.id}").json["data"]
    assert invoice["number"]
    assert invoice["state"] == "paid"


def test_faulty_filters_of_lists_are_refused(operator: Caller) -> None:
    for query in (
        "statements?state=done",
        "invoices?state=lost",
        "bank_transfers?state=x",
        "ledger?until=soon",
        "margins?start_time=-1",
        "quote_errors?limit=0",
        "tax_rates?limit=101",
        "payments?after=%27",
    ):
        assert operator.get(f"/operator/v1/{query}").status == 400, query


@pytest.mark.parametrize(
    ("act", "body", "state"),
    [("void", {"reason": "wrong customer"}, "void"), ("uncollectible", {}, "uncollectible")],
)
def test_an_open_invoice_is_taken_back_or_written_off_once(
    operator: Caller, act: str, body: dict[str, str], state: str
) -> None:
    where = f"/operator/v1/invoices/{owing().id}/{act}"

    done, again = operator.post(where, body), operator.post(where, body)

    assert (done.status, done.json["state"], again.status) == (200, state, 409), done.content
    assert operator.get("/operator/v1/ledger").json["wrong"] == []


def test_a_paid_invoice_is_neither_voided_nor_written_off(api: Caller, operator: Caller) -> None:
    assert api.tenant is not None
    where = f"/operator/v1/invoices/{billed(api.tenant).invoice.id}"

    assert operator.post(f"{where}/void", {"reason": "wrong customer"}).status == 409
    assert operator.post(f"{where}/uncollectible").status == 409


def test_what_was_paid_on_an_invoice_goes_back_to_its_payer_once(operator: Caller) -> None:
    invoice = owing()
    paid = {"external_id": "b-1", "amount": f"{invoice.remaining}", "invoice_id": invoice.id}
    where = f"/operator/v1/invoices/{invoice.id}/refunds"
    reason = {"reason": "a bad month"}
    assert (
        operator.post("/operator/v1/payments", {"tenant_id": invoice.tenant_id, **paid}).status
        == 201
    )

    note = operator.post(where, reason, Idempotency_Key="n1")
    again = operator.post(where, reason, Idempotency_Key="n1")
    more = operator.post(where, reason)

    assert note.status == 201, note.content
    assert note.json["to"] == "payer"
    assert Decimal(note.json["total"]) == invoice.total
    assert again.json["id"] == note.json["id"]
    assert more.status == 400, more.content
    (payment,) = operator.get(f"/operator/v1/payments?tenant={invoice.tenant_id}").json["data"]
    assert Decimal(payment["refunded"]) == Decimal(paid["amount"])
    with system_scope():
        assert unbalanced() == []


@pytest.mark.parametrize(
    "change",
    [{"lines": {"line_x": "1"}}, {"to": "charity"}, {"reason": ""}, {"lines": {"own": "1000"}},
     {"lines": {"own": "0"}}, {"lines": {"own": "-1"}}, {"to": "payer"}],
)  # fmt: skip
def test_a_faulty_credit_note_is_refused(
    api: Caller, operator: Caller, change: dict[str, Any]
) -> None:
    assert api.tenant is not None
    month = billed(api.tenant)
    body = {"reason": "half of it failed", "to": "wallet", "lines": {month.line.id: "1"}} | change
    if "own" in body["lines"]:
        body["lines"] = {month.line.id: body["lines"]["own"]}

    reply = operator.post(f"/operator/v1/invoices/{month.invoice.id}/credit_notes", body)

    assert reply.status == 400, reply.content


@pytest.mark.parametrize(
    "change",
    [{"jurisdiction": ""}, {"rate": "-0.1"}, {"rate": "1"}, {"rate": "0.1234567"}, {"name": ""},
     {"valid_from": "soon"}],
)  # fmt: skip
def test_a_faulty_tax_rate_is_refused(operator: Caller, change: dict[str, str]) -> None:
    body = {"jurisdiction": "DE", "name": "MwSt.", "rate": "0.19", "valid_from": 1767225600}

    assert operator.post("/operator/v1/tax_rates", body | change).status == 400
    assert operator.get("/operator/v1/tax_rates").json["data"] == []


def test_the_trial_balance_of_a_moment_leaves_out_what_came_after(
    api: Caller, operator: Caller
) -> None:
    assert api.tenant is not None
    used(api.tenant.id, "a", 1_000_000, now())

    before = operator.get(f"/operator/v1/ledger?until={unix(now()) - DAY}").json
    after = operator.get(f"/operator/v1/ledger?until={unix(now()) + 5}").json

    assert not any(row["kind"] == "revenue" for row in before["accounts"])
    (revenue,) = [row for row in after["accounts"] if row["kind"] == "revenue"]
    assert revenue["balance"] == "-0.6"


def test_margins_are_of_one_tenant_where_asked(
    api: Caller, rival: Caller, operator: Caller
) -> None:
    assert api.tenant is not None
    assert rival.tenant is not None
    cost_measured(api.tenant, "ftjob-1")
    cost_measured(rival.tenant, "ftjob-2")

    everyone = operator.get("/operator/v1/margins").json["data"]
    (own,) = operator.get(f"/operator/v1/margins?tenant={api.tenant.id}").json["data"]

    assert {row["job_id"] for row in everyone} == {"ftjob-1", "ftjob-2"}
    assert (own["charged"], own["cost"], own["margin"]) == ("4", "0.1", "3.9")
    assert operator.get("/operator/v1/margins?start_time=4000000000").json["data"] == []


def test_staff_who_may_only_read_change_nothing() -> None:
    platform = platform_tenant_ensure()
    with tenant_scope(platform.id):
        actor = system_actor(platform.id)
        issued = api_key_create(
            actor=actor, name="auditor", role=Role.ADMIN, scopes=("billing.read",)
        )
    reader = Caller(issued.secret, platform)

    assert reader.get("/operator/v1/ledger").status == 200
    for route in api_routes():
        if route.method != "GET" and route.template.startswith("/operator/"):
            path = route.template.format(**dict.fromkeys(route.parameters, "nobody"))
            assert reader.send(route.method, path, {}).status == 403, str(route)
