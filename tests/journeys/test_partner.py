"""A partner's plugin, from the wheel to the payout, over REST: submitted, checked, approved,
enabled, run as a job, counted, invoiced, shared, paid out. And a service, ordered and delivered.
"""

from __future__ import annotations

import json
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from saas.handlers import HANDLERS
from tenants.accounts.models import Tenant
from tenants.billing.periods import Period
from tenants.billing.services.statements import statements_advance
from tenants.kernel.outbox import drain
from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.selectors import unbalanced
from tenants.marketplace.events import OrderMoved, OrderRated
from tenants.marketplace.services.statements import partners_advance
from tenants.partners.events import PluginDisabled, PluginEnabled, PluginSuspended
from tests.saas.api.factories import Caller, operator_caller, tenant_caller
from tests.tenants.partners.releases import report_of, wheel_of
from tests.workers.jobs.factories import make_worker
from tests.workers.tasks.factories import start

pytestmark = pytest.mark.django_db
D = Decimal

TERMS = {
    "currency": "USD",
    "hold_days": 0,
    "lines": {"plugins": {"share": "0.7"}, "services": {"share": "0.9"}},
    "cost_share": "0.5",
}


@pytest.fixture
def staff() -> Caller:
    return operator_caller()


@pytest.fixture
def partner(staff: Caller) -> Caller:
    caller = tenant_caller("Counting Ltd")
    assert caller.tenant is not None
    with system_scope():
        Tenant.objects.filter(pk=caller.tenant.id).update(is_partner=True)
    return caller


@pytest.fixture
def customer(staff: Caller) -> Caller:
    return tenant_caller("Customer")


def ok(reply: Any, status: int = 200) -> Any:
    assert reply.status == status, reply.content
    return reply.json


def submit(partner: Caller, wheel: Path, name: str = "counting", version: str = "1.0") -> Any:
    fields = {
        "wheel": SimpleUploadedFile(wheel.name, wheel.read_bytes()),
        "title": "Counting",
        "conformance": json.dumps(report_of(wheel, name, version)),
    }
    return partner.form("/v1/partner/listings", fields)


def publish(staff: Caller, listing_id: str) -> None:
    for act, state in (("check", "checked"), ("approve", "approved"), ("publish", "published")):
        moved = ok(staff.post(f"/operator/v1/listings/{listing_id}/{act}", {"reason": "fine"}))
        assert moved["state"] == state, moved


def relay() -> None:
    """Deliver what waits in the outbox to the marketplace's handlers."""
    heard = {
        event: HANDLERS[event]
        for event in (PluginEnabled, PluginDisabled, PluginSuspended, OrderMoved, OrderRated)
    }
    while drain(heard):
        pass


def next_month() -> Any:
    return Period.of(timezone.now()).end + timezone.timedelta(days=4)


def test_a_plugin_earns_its_partner_a_share(
    staff: Caller, partner: Caller, customer: Caller, tmp_path: Path
) -> None:
    assert partner.tenant is not None
    # submitted, checked, approved, published: each with its reason
    listing = ok(submit(partner, wheel_of(tmp_path)), 201)
    refused = staff.post(f"/operator/v1/listings/{listing['id']}/publish", {})
    assert refused.status == 409
    ok(staff.post(f"/operator/v1/listings/{listing['id']}/check"))
    assert staff.post(f"/operator/v1/listings/{listing['id']}/approve", {}).error["code"] == (
        "agreement_missing"
    )
    agreement = {"partner": partner.tenant.id, "terms": TERMS}
    ok(staff.post("/operator/v1/agreements", agreement), 201)
    for act in ("approve", "publish"):
        ok(staff.post(f"/operator/v1/listings/{listing['id']}/{act}", {"reason": "fine"}))
    seen = ok(partner.get(f"/v1/partner/listings/{listing['id']}"))
    assert [step["state"] for step in seen["steps"]] == [
        "submitted",
        "checked",
        "approved",
        "published",
    ]

    # found on the marketplace and enabled with one call, its permissions granted
    (offer,) = ok(customer.get("/v1/marketplace/plugins"))["data"]
    assert (offer["plugin"], offer["publisher"]) == ("counting", "Counting Ltd")
    assert offer["prices"] == [{"meter": "lines", "amount": "0.5", "currency": "USD"}]
    asked = customer.post("/v1/plugins", {"plugin": "counting", "permissions": []})
    assert asked.error["code"] == "permission_missing"
    enabling = {
        "plugin": "counting",
        "permissions": offer["permissions"],
        "settings": {"token": "hush"},
    }
    enabled = ok(customer.post("/v1/plugins", enabling), 201)
    assert (enabled["settings"], enabled["secrets"]) == ({}, ["token"])

    # quoted, run as a job, its usage counted
    file_id = customer.upload(b'{"a": 1}\n' * 8, purpose="user_data").json["id"]
    work = {"plugin": "counting", "pipeline": "count", "files": [file_id], "units": {"lines": "8"}}
    quote = ok(customer.post("/v1/quotes", {"kind": "pipeline", **work}), 201)
    assert quote["expected"]["net"] == "4"
    job = ok(customer.post("/v1/pipelines", {**work, "quote_id": quote["id"]}), 201)
    start(make_worker(), queue="pipeline.cpu").join()
    done = ok(customer.get(f"/v1/pipelines/{job['id']}"))
    assert done["state"] == "succeeded", done
    assert done["figures"]["sum.lines"] == 8
    assert done["price"]["charge"]["net"] == "4"
    (name,) = done["result_files"]
    assert customer.get(f"/v1/files/{done['result_files'][name]}/content").content == b"8"

    # the partner's share: 70% of 4, less half of the compute
    (balance,) = ok(partner.get("/v1/partner/balances"))["data"]
    earned = D(balance["pending"])
    assert D("2.79") < earned < D("2.8")
    relay()
    (fared,) = ok(partner.get("/v1/partner/plugins"))["data"]
    assert (fared["installs"], fared["calls"], fared["failures"]) == (1, 2, {})

    # an invoice line, a statement, a payout
    assert customer.tenant is not None
    statements_advance(now=next_month(), tenant_id=customer.tenant.id)
    (invoice,) = ok(customer.get("/v1/invoices"))["data"]
    lines = ok(customer.get(f"/v1/invoices/{invoice['id']}"))["lines"]
    assert [line["net"] for line in lines if line["meter"] == "plugin.units"] == ["4"]
    assert partners_advance(now=next_month()) == 1
    (statement,) = ok(partner.get("/v1/partner/statements"))["data"]
    assert (statement["sales"], statement["share"]) == ("4", "2.8")
    assert D(statement["share"]) - D(statement["cost"]) == earned
    order = {"partner": partner.tenant.id, "key": "first"}
    payout = ok(staff.post("/operator/v1/payouts", order), 201)
    cents = earned.quantize(D("0.01"), ROUND_DOWN)
    assert D(payout["amount"]) == cents
    assert ok(staff.post("/operator/v1/payouts", order), 201)["id"] == payout["id"]
    confirm = f"/operator/v1/payouts/{payout['id']}/confirm"
    assert ok(staff.post(confirm, {"reference": "bank 1"}))["state"] == "paid"
    (balance,) = ok(partner.get("/v1/partner/balances"))["data"]
    assert (balance["pending"], balance["on_its_way"]) == ("0", "0")
    assert D(balance["available"]) == earned - cents
    with system_scope():
        assert unbalanced() == []
        assert projections_wrong() == []


def test_a_service_is_ordered_delivered_in_milestones_charged_and_rated(
    staff: Caller, partner: Caller, customer: Caller, tmp_path: Path
) -> None:
    assert partner.tenant is not None
    ok(staff.post("/operator/v1/agreements", {"partner": partner.tenant.id, "terms": TERMS}), 201)
    publish(staff, ok(submit(partner, wheel_of(tmp_path)), 201)["id"])
    (service,) = [
        each for each in ok(customer.get("/v1/services"))["data"] if each["title"] == "Advice"
    ]
    wish = {
        "service": service["id"],
        "quantity": "0.03",
        "milestones": [{"title": "a", "quantity": "0.01"}, {"title": "b", "quantity": "0.02"}],
    }
    order = ok(customer.post("/v1/orders", wish), 201)
    assert D(ok(customer.get("/v1/wallet"))["held"]) == 3
    path, sold = f"/v1/orders/{order['id']}", f"/v1/partner/orders/{order['id']}"
    assert partner.post(f"{path}/confirm").status == 404
    assert customer.post(f"{sold}/accept").status == 404
    ok(partner.post(f"{sold}/accept"))
    ok(partner.post(f"{sold}/deliver", {"note": "the first part"}))
    ok(customer.post(f"{path}/reject", {"reason": "half of it is missing"}))
    ok(partner.post(f"{sold}/deliver", {"note": "all of the first part"}))
    assert ok(customer.post(f"{path}/confirm"))["state"] == "accepted"
    ok(partner.post(f"{sold}/deliver", {"milestone": 2, "note": "the rest"}))
    assert ok(customer.post(f"{path}/confirm"))["state"] == "confirmed"
    assert ok(customer.post(f"{path}/rating", {"stars": 4}))["rating"] == 4
    relay()
    (service,) = [
        each for each in ok(customer.get("/v1/services"))["data"] if each["title"] == "Advice"
    ]
    assert (service["ratings"], service["rating"]) == (1, "4")
    assert D(ok(customer.get("/v1/wallet"))["held"]) == 0
    (balance,) = ok(partner.get("/v1/partner/balances"))["data"]
    assert balance["pending"] == "2.7"
    with system_scope():
        assert unbalanced() == []
