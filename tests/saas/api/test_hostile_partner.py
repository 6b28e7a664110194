"""Wrong input to partners' routes: refused with the reason and the place, and nothing is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tenants.kernel.scope import system_scope
from tenants.ledger.models import Hold
from tenants.marketplace.models import Listing, Order, Payout
from tenants.partners.models import Agreement, Installation, Release
from tests.saas.api.factories import Caller
from tests.saas.api.marketplace import (
    ENABLING,
    RUNNING,
    listing_made,
    market_rows,
    partner_become,
    payout_made,
    plugin_offered,
    service_offered,
)
from tests.tenants.partners.factories import SEVENTY

pytestmark = pytest.mark.django_db
WHEEL = "evil-1.0-py3-none-any.whl"
GOOD = {"currency": "USD", "lines": {"plugins": {"share": "0.7"}}}


@pytest.fixture(autouse=True)
def _own_storage(tmp_path: Path, settings: Any) -> None:
    default = settings.STORAGES["default"] | {"OPTIONS": {"location": str(tmp_path / "storage")}}
    settings.STORAGES = {**settings.STORAGES, "default": default}


def count(kind: Any) -> int:
    with system_scope():
        found: int = kind.objects.count()
    return found


@pytest.mark.parametrize(
    ("name", "conformance", "param"),
    [
        ("名" * 66 + "-1.0-py3-none-any.whl", "", "wheel"),  # 200 bytes and more: no file's name
        ("x" * 240 + ".whl", "", "wheel"),
        ("evil.tar.gz", "", "wheel"),
        (WHEEL, "{", "conformance"),
        (WHEEL, "[]", "conformance"),
        (WHEEL, '{"plugin": NaN}', "conformance"),
        (WHEEL, '{"plugin": 1e999}', "conformance"),
        (WHEEL, '{"plugin": "\\u0000"}', "conformance"),
        (WHEEL, '{"plugin": "\\ud800"}', "conformance"),
        (WHEEL, "[" * 100_000, "conformance"),
    ],
)
def test_a_submission_that_cannot_be_kept(
    api: Caller, name: str, conformance: str, param: str
) -> None:
    assert api.tenant is not None
    partner_become(api.tenant)
    fields = {"wheel": SimpleUploadedFile(name, b"nothing"), "title": "A"}
    fields |= {"conformance": conformance} if conformance else {}
    reply = api.form("/v1/partner/listings", fields)
    assert (reply.status, reply.error["param"]) == (400, param), reply.content
    assert count(Listing) == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"plugin": ["lister"]},
        {"plugin": "x" * 64},
        {"plugin": "nobodys"},
        {"version": "not.a.version"},
        {"permissions": "data.datasets"},
        {"permissions": []},
        {"permissions": ["data.datasets", "root"]},
        {"permissions": [{"a": 1}]},
        {"settings": []},
        {"settings": {"least": "x"}},
        {"settings": {"unknown": 1}},
    ],
)
def test_what_cannot_be_enabled(api: Caller, changed: dict[str, Any]) -> None:
    release = plugin_offered()
    schema = {"type": "object", "additionalProperties": False,
              "properties": {"least": {"type": "number"}}}  # fmt: skip
    with system_scope():
        Release.objects.filter(pk=release.pk).update(
            manifest=release.manifest | {"settings": schema}
        )
    reply = api.post("/v1/plugins", ENABLING | changed)
    assert reply.status in {400, 404}, reply.content
    assert count(Installation) == 0
    kept = api.post("/v1/plugins", ENABLING | {"settings": {"least": 0.25}})
    assert (kept.status, kept.json["settings"]) == (201, {"least": 0.25})


@pytest.mark.parametrize(
    "changed",
    [
        {"pipeline": "nothing"},
        {"pipeline": ""},
        {"plugin": "nobodys"},
        {"files": "file-1"},
        {"files": ["file-of-nobody"]},
        {"files": [None]},
        {"files": ["x"] * 17},
        {"units": {"lines": 0}},
        {"units": {"lines": -1}},
        {"units": {"lines": "1e309"}},
        {"units": {"lines": "NaN"}},
        {"units": {"others": 1}},
        {"units": {"lines": "many"}},
        {"units": [1]},
        {"quote_id": "quote_of_nobody"},
        {"model": "tiny-1"},
        {"metadata": {"a": {"b": 1}}},
    ],
)
def test_what_cannot_be_run(api: Caller, changed: dict[str, Any]) -> None:
    plugin_offered()
    assert api.post("/v1/plugins", ENABLING).status == 201
    reply = api.post("/v1/pipelines", RUNNING | changed)
    assert reply.status in {400, 404}, reply.content


@pytest.mark.parametrize(
    "changed",
    [
        {"service": "svc_nobody"},
        {"service": None},
        {"quantity": "0"},
        {"quantity": "-1"},
        {"quantity": "NaN"},
        {"quantity": "1e309"},
        {"quantity": "1000000000"},
        {"quantity": "0.0000001"},
        {"quantity": True},
        {"quantity": [1]},
        {"wish": "x" * 2001},
        {"milestones": {}},
        {"milestones": [1]},
        {"milestones": [{"title": "a"}]},
        {"milestones": [{"title": "a", "quantity": "-1"}]},
        {"milestones": [{"title": "a", "quantity": "NaN"}]},
        {"milestones": [{"title": "a", "quantity": "2"}]},
        {"milestones": [{"title": "a", "quantity": "0.02"}] * 51},
        {"quantity": "999999999"},  # more than its credit
    ],
)
def test_what_cannot_be_ordered(api: Caller, rival: Caller, changed: dict[str, Any]) -> None:
    assert rival.tenant is not None
    service = service_offered(rival.tenant)
    reply = api.post("/v1/orders", {"service": service.id, "quantity": "1"} | changed)
    assert reply.status in {400, 402, 404}, reply.content
    assert count(Order) == 0
    assert count(Hold) == 0


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("quote", {"price": "0"}),
        ("quote", {"price": "-1"}),
        ("quote", {"price": "NaN"}),
        ("quote", {"price": "1e309"}),
        ("quote", {"price": "0.0000001"}),
        ("quote", {}),
        ("accept", None),  # it has no price yet
        ("deliver", {"quantity": "1", "note": "done"}),  # nobody agreed to it
        ("deliver", {"quantity": "-1", "note": "done"}),
        ("deliver", {"milestone": -1, "note": "done"}),
        ("deliver", {"milestone": 10**30, "note": "done"}),
        ("deliver", {"quantity": "1"}),
    ],
)
def test_what_a_seller_cannot_do(api: Caller, rival: Caller, act: str, body: Any) -> None:
    assert rival.tenant is not None
    partner_become(rival.tenant)
    service = service_offered(rival.tenant, price=None)
    order = api.post("/v1/orders", {"service": service.id, "quantity": "1"}).json["id"]
    reply = rival.post(f"/v1/partner/orders/{order}/{act}", body)
    assert reply.status in {400, 409}, reply.content
    assert api.get(f"/v1/orders/{order}").json["state"] == "ordered"


@pytest.mark.parametrize(
    "changed",
    [
        {"partner": "ten_nobody"},
        {"partner": ["a"]},
        {"terms": []},
        {"terms": {}},
        {"terms": GOOD | {"currency": "ZZZ"}},
        {"terms": GOOD | {"currency": None}},
        {"terms": GOOD | {"hold_days": 1.5}},
        {"terms": GOOD | {"hold_days": 366}},
        {"terms": GOOD | {"hold_days": True}},
        {"terms": GOOD | {"fee_rate": "NaN"}},
        {"terms": GOOD | {"fee_rate": "1e309"}},
        {"terms": GOOD | {"fee_rate": 0.5}},
        {"terms": GOOD | {"fee_rate": [["0.5"]]}},
        {"terms": GOOD | {"cost_cap": "-1"}},
        {"terms": GOOD | {"payout_minimum": "1e-13"}},
        {"terms": GOOD | {"promotion": ["both"]}},
        {"terms": GOOD | {"lines": {"wishes": {"share": "0.7"}}}},
        {"terms": GOOD | {"lines": {"plugins": {"share": "1.01"}}}},
        {"terms": GOOD | {"lines": {"plugins": {"tiers": []}}}},
        {"terms": GOOD | {"lines": {"plugins": {"tiers": [None]}}}},
        {"terms": GOOD | {"more": 1}},
        {"starts": -1},
        {"note": "x" * 301},
    ],
)
def test_terms_that_are_none(api: Caller, operator: Caller, changed: dict[str, Any]) -> None:
    assert api.tenant is not None
    partner_become(api.tenant)
    body = {"partner": api.tenant.id, "terms": SEVENTY} | changed
    reply = operator.post("/operator/v1/agreements", body)
    assert reply.status in {400, 404}, reply.content
    assert count(Agreement) == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"partner": "ten_nobody"},
        {"currency": "ZZZ"},
        {"currency": "usd"},
        {"key": ""},
        {"key": "x" * 81},
        {"payer": "cash"},
        {},  # nothing was earned
    ],
)
def test_payouts_that_are_none(api: Caller, operator: Caller, changed: dict[str, Any]) -> None:
    assert api.tenant is not None
    partner_become(api.tenant)
    body = {"partner": api.tenant.id, "key": "first"} | changed
    reply = operator.post("/operator/v1/payouts", body)
    assert reply.status in {400, 404, 409}, reply.content
    assert count(Payout) == 0


def test_a_customer_is_paid_nothing(rival: Caller, operator: Caller) -> None:
    assert rival.tenant is not None
    reply = operator.post("/operator/v1/payouts", {"partner": rival.tenant.id, "key": "first"})
    assert (reply.status, reply.error["code"]) == (400, "not_a_partner")


@pytest.mark.parametrize("reference", ["", "   ", "x" * 121, None, 5.5])
def test_a_payout_is_confirmed_under_a_banks_reference(
    api: Caller, operator: Caller, reference: Any
) -> None:
    assert api.tenant is not None
    partner_become(api.tenant)
    row = payout_made(api.tenant)
    reply = operator.post(f"/operator/v1/payouts/{row.id}/confirm", {"reference": reference})
    if reference == 5.5:  # a number is read as its text
        assert reply.status == 200
    else:
        assert (reply.status, reply.error["param"]) == (400, "reference")


def test_nobody_reaches_another_tenants_things(api: Caller, rival: Caller) -> None:
    assert api.tenant is not None
    assert api.actor is not None
    assert rival.tenant is not None
    partner_become(rival.tenant)
    installation, order, listing, *_ = market_rows(api.tenant, api.actor)
    asked: list[tuple[Callable[..., Any], str, Any]] = [
        (rival.get, f"/v1/plugins/{installation.id}", None),
        (rival.delete, f"/v1/plugins/{installation.id}", None),
        (rival.post, f"/v1/plugins/{installation.id}", {"settings": {}}),
        (rival.post, f"/v1/plugins/{installation.id}/upgrade", {}),
        (rival.post, f"/v1/plugins/{installation.id}/roll_back", {}),
        (rival.get, f"/v1/orders/{order.id}", None),
        (rival.post, f"/v1/orders/{order.id}/confirm", None),
        (rival.post, f"/v1/orders/{order.id}/cancel", None),
        (rival.post, f"/v1/partner/orders/{order.id}/accept", None),
        (rival.post, f"/v1/partner/orders/{order.id}/quote", {"price": "1"}),
        (rival.post, f"/v1/partner/orders/{order.id}/deliver", {"quantity": "1", "note": "a"}),
        (rival.get, f"/v1/partner/listings/{listing.id}", None),
    ]
    for send, path, body in asked:
        reply = send(path) if body is None else send(path, body)
        assert reply.status == 404, (path, reply.content)
    assert api.get(f"/v1/orders/{order.id}").json["state"] == "ordered"


def test_operators_routes_are_not_a_partners(api: Caller) -> None:
    assert api.tenant is not None
    partner_become(api.tenant)
    row = listing_made(api.tenant)
    for act in ("check", "approve", "publish", "suspend", "refuse"):
        reply = api.post(f"/operator/v1/listings/{row.id}/{act}", {"reason": "mine"})
        assert reply.status == 403, reply.content
    for path in ("agreements", "payouts"):
        sent = {"partner": api.tenant.id, "terms": SEVENTY, "key": "k"}
        assert api.post(f"/operator/v1/{path}", sent).status == 403
