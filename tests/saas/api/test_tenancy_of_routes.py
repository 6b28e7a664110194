"""Every route is driven with another tenant's ids: it answers 404, and says nothing of them.

The routes come from the URL conf. One with a parameter that `one_of_everything` does not make, or
a gateway path without a body here, fails the test: nobody can forget a new route.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.saas.api.factories import (
    BASE,
    Caller,
    Reply,
    chats,
    one_of_everything,
    shared_money,
    usage_make,
)
from tests.saas.api.routes import Route, api_routes
from workers.assets.models import BaseModel
from workers.serving.gateway.app import PATHS

pytestmark = pytest.mark.django_db

ADDRESSED = [
    route
    for route in api_routes()
    if route.parameters and not route.template.startswith("/operator/")
]
OPERATED = [
    route for route in api_routes() if route.parameters and route.template.startswith("/operator/")
]
LISTS = [route for route in api_routes() if route.method == "GET" and not route.parameters]

# A body that passes the route's own checks, so that only the missing thing can refuse it.
BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/uploads/{upload_id}/complete": {"part_ids": ["part_x"]},
    "POST /v1/members/{member_id}": {"role": "viewer"},
    "POST /v1/deployments/{deployment_id}": {"max_replicas": 2},
    "POST /v1/budgets/{budget_id}": {"hard": "12"},
    "POST /v1/plugins/{installation_id}": {"settings": {}},
    "POST /v1/plugins/{installation_id}/upgrade": {},
    "POST /v1/orders/{order_id}/reject": {"reason": "late"},
    "POST /v1/orders/{order_id}/rating": {"stars": 5},
    "POST /v1/partner/orders/{sold_order_id}/quote": {"price": "2"},
    "POST /v1/partner/orders/{sold_order_id}/decline": {"reason": "busy"},
    "POST /v1/partner/orders/{sold_order_id}/deliver": {"quantity": "1", "note": "done"},
}
# What staff send, likewise.
REASON = {"reason": "as agreed by telephone"}
STAFF: dict[str, dict[str, Any] | None] = {
    "POST /operator/v1/stripe/findings/{finding_id}/close": {},
    "POST /operator/v1/waste/{waste_id}/apply": {},
    "POST /operator/v1/waste/{waste_id}/undo": {},
    "POST /operator/v1/waste/{waste_id}/close": {},
    "POST /operator/v1/costs/overheads/{overhead_id}/end": {},
    "POST /operator/v1/procurement/offers/{offer_id}/withdraw": {},
    "GET /operator/v1/procurement/plans/{plan_id}": None,
    "GET /operator/v1/procurement/plans/{plan_id}/result": None,
    "GET /operator/v1/procurement/plans/{plan_id}/purchases": None,
    "GET /operator/v1/procurement/plans/{plan_id}/actual": None,
    "POST /operator/v1/procurement/plans/{plan_id}/adopt": {},
    "POST /operator/v1/procurement/plans/{plan_id}/cancel": {},
    "POST /operator/v1/tenants/{tenant_id}/suspend": REASON,
    "POST /operator/v1/tenants/{tenant_id}/reactivate": REASON,
    "POST /operator/v1/tenants/{tenant_id}/close": REASON,
    "GET /operator/v1/price_books/{price_book_id}/versions": None,
    "POST /operator/v1/price_books/{price_book_id}/versions": {"prices": []},
    "GET /operator/v1/price_versions/{price_version_id}": None,
    "POST /operator/v1/price_versions/{price_version_id}/publish": {},
    "GET /operator/v1/loss_budgets/{loss_budget_id}": None,
    "POST /operator/v1/loss_budgets/{loss_budget_id}/close": {},
    "GET /operator/v1/price_proposals/{price_proposal_id}": None,
    "POST /operator/v1/price_proposals/{price_proposal_id}/approve": {},
    "POST /operator/v1/price_proposals/{price_proposal_id}/refuse": REASON,
    "POST /operator/v1/price_proposals/{price_proposal_id}/end": REASON,
    "GET /operator/v1/contracts/{contract_id}": None,
    "POST /operator/v1/contracts/{contract_id}/end": {},
    "GET /operator/v1/contracts/{contract_id}/subscription": None,
    "POST /operator/v1/contracts/{contract_id}/subscription": {},
    "POST /operator/v1/contracts/{contract_id}/subscription/cancel": {},
    "POST /operator/v1/payments/{payment_id}/refunds": {"amount": "1"},
    "POST /operator/v1/bank_transfers/{transfer_id}/assign": {"tenant_id": "ten_x"},
    "POST /operator/v1/statements/{statement_id}/approval": {"required": True},
    "POST /operator/v1/statements/{statement_id}/approve": {},
    "POST /operator/v1/statements/{statement_id}/finalise": {},
    "POST /operator/v1/statements/{statement_id}/rerate": {},
    "POST /operator/v1/invoices/{invoice_id}/credit_notes": {**REASON, "to": "wallet"},
    "POST /operator/v1/invoices/{invoice_id}/refunds": REASON,
    "POST /operator/v1/invoices/{invoice_id}/void": REASON,
    "POST /operator/v1/invoices/{invoice_id}/uncollectible": {},
    "POST /operator/v1/market/products/{product_id}": {"model_class": "mid"},
    "PUT /operator/v1/market/offers/{base}": {"model_class": "mid"},
    "POST /operator/v1/market/alerts/{alert_id}/see": {},
    "POST /operator/v1/market/alerts/{alert_id}/resend": {},
    "GET /operator/v1/campaigns/{campaign_id}": None,
    "POST /operator/v1/campaigns/{campaign_id}/cancel": {},
    "GET /operator/v1/campaigns/{campaign_id}/result": None,
    "GET /operator/v1/campaigns/{campaign_id}/outcome": None,
    "GET /operator/v1/campaigns/{campaign_id}/outcome/plot": None,
    "POST /operator/v1/campaigns/{campaign_id}/propose": {"base": "mini"},
    "GET /operator/v1/campaigns/{campaign_id}/brief": None,
    "GET /operator/v1/campaigns/{campaign_id}/plots/{name}": None,
    "POST /operator/v1/listings/{listing_id}/check": {},
    "POST /operator/v1/listings/{listing_id}/approve": {},
    "POST /operator/v1/listings/{listing_id}/publish": {},
    "POST /operator/v1/listings/{listing_id}/suspend": REASON,
    "POST /operator/v1/listings/{listing_id}/refuse": REASON,
    "POST /operator/v1/payouts/{payout_id}/confirm": {"reference": "bank 1"},
}
# Bodies that name another tenant's things.
NAMING = {
    "POST /v1/fine_tuning/jobs": [
        {"model": BASE, "training_file": "{file_id}"},
        {"model": "{model}", "training_file": "{own_file_id}"},
        {"model": BASE, "training_file": "{own_file_id}", "validation_file": "{file_id}"},
    ],
    "POST /v1/evaluations": [
        {"model": BASE, "file": "{file_id}"},
        {"model": "{model}", "file": "{own_file_id}"},
    ],
    "POST /v1/compressions": [
        {"model": BASE, "file": "{file_id}", "settings": {"quantise": "int8_weight"}},
        {"model": "{model}", "file": "{own_file_id}", "settings": {"prune": {"mlp": 0.5}}},
    ],
    "POST /v1/quotes": [
        {"kind": "fine_tune", "model": BASE, "training_file": "{file_id}"},
        {"kind": "evaluate", "model": "{model}", "file": "{own_file_id}"},
        {"kind": "chat", "model": "{model}", "messages": [{"role": "user", "content": "x"}]},
    ],
    "POST /v1/datasets": [{"model": BASE, "file": "{file_id}"}],
    "POST /v1/datasets/import": [{"file": "{file_id}"}],
    "POST /v1/budgets": [{"subject": "api_key", "ref": "{api_key_id}", "hard": "5"}],
    "POST /v1/deployments": [{"model": "{model}"}],
}


@pytest.fixture
def theirs(base: BaseModel, rival: Caller) -> dict[str, str]:
    """Ids of one of everything that the rival owns."""
    return one_of_everything(rival)


def drive(caller: Caller, route: Route, ids: dict[str, str]) -> Reply:
    path = route.template.format(**{name: quote(ids[name]) for name in route.parameters})
    if route.template.endswith("/parts"):
        return caller.form(path, {"data": _part()})
    return caller.send(route.method, path, BODIES.get(str(route)))


def _part() -> Any:
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile("data", b"abc")


def test_another_tenants_things_are_not_found_on_any_route(
    api: Caller, rival: Caller, theirs: dict[str, str]
) -> None:
    for route in ADDRESSED:
        assert set(route.parameters) <= set(theirs), f"no id for {route}: add it to the factory"

        reply = drive(api, route, theirs)

        assert reply.status == 404, f"{route}: {reply.status} {reply.content!r}"
        assert reply.error["type"] == "invalid_request_error"


def test_the_owner_finds_them_on_the_same_routes(rival: Caller, theirs: dict[str, str]) -> None:
    """The test above could pass by refusing everyone: the owner's reads must succeed."""
    for route in ADDRESSED:
        if route.method == "GET":
            assert drive(rival, route, theirs).status == 200, str(route)


@pytest.mark.parametrize("name", sorted(NAMING))
def test_a_body_cannot_name_another_tenants_things(
    api: Caller, theirs: dict[str, str], name: str
) -> None:
    method, path = name.split()
    own = api.upload(chats()).json["id"]
    for template in NAMING[name]:
        filled = json.loads(
            json.dumps(template)
            .replace("{own_file_id}", own)
            .replace("{file_id}", theirs["file_id"])
            .replace("{model}", theirs["model"])
            .replace("{api_key_id}", theirs["api_key_id"])
        )
        reply = api.send(method, path, filled)
        assert reply.status == 404, f"{name} {filled}: {reply.content!r}"


def test_lists_show_nothing_of_another_tenant(
    api: Caller, rival: Caller, theirs: dict[str, str]
) -> None:
    usage_make(rival, 987_654)
    for route in LISTS:
        path = route.template
        if path.startswith("/v1/organization"):
            path += f"?start_time={int(time.time()) - 3600}&group_by=api_key_id"
        if path.startswith("/operator/"):
            continue

        reply = api.get(path)

        assert reply.status == 200, f"{route}: {reply.content!r}"
        text = reply.content.decode()
        for value in (*theirs.values(), rival.tenant.id if rival.tenant else "", "987654"):
            assert value not in text, f"{route} shows {value}"


def test_customers_do_not_reach_the_operators_routes(rival: Caller, theirs: dict[str, str]) -> None:
    """Not even those that are about themselves."""
    ids = {**theirs, **shared_money()}
    for route in api_routes():
        if route.template.startswith("/operator/"):
            path = route.template.format(**ids)
            assert rival.send(route.method, path).status == 403, str(route)


def test_staff_find_them_on_theirs(operator: Caller, theirs: dict[str, str]) -> None:
    ids = {**theirs, **shared_money()}
    for route in OPERATED:
        assert set(route.parameters) <= set(ids), f"no id for {route}: add it to the factory"

        found = operator.send(route.method, route.template.format(**ids))
        missing = operator.send(
            route.method, route.template.format(**dict.fromkeys(ids, "nobody")), STAFF[str(route)]
        )

        assert found.status != 404, f"{route}: {found.content!r}"
        assert missing.status == 404, f"{route}: {missing.content!r}"


def test_nobody_reaches_anything_without_a_key(nobody: Caller, theirs: dict[str, str]) -> None:
    public, shared = {"/v1/sign_up"}, shared_money()
    for route in api_routes():
        if route.template not in public:
            path = route.template.format(**theirs, **shared)
            assert nobody.send(route.method, path).status == 401, str(route)


def test_the_gateway_does_not_find_another_tenants_model(
    api: Caller, theirs: dict[str, str], web_url: str
) -> None:
    said = [{"role": "user", "content": "hello"}]
    bodies = {
        "/v1/chat/completions": {"messages": said},
        "/v1/completions": {"prompt": "hello"},
        "/v1/embeddings": {"input": "hello"},
        "/v1/predictions": {"inputs": ["hello"]},
    }
    assert set(bodies) == PATHS, "a gateway path without a body here"
    for path, body in bodies.items():
        reply = httpx.post(
            f"{web_url}{path}",
            json={**body, "model": theirs["model"]},
            headers={"Authorization": f"Bearer {api.secret}"},
            timeout=30,
        )
        assert reply.status_code == 404, f"{path}: {reply.text}"
        assert reply.json()["error"]["code"] == "model_not_found"
        assert httpx.post(f"{web_url}{path}", json=body, timeout=30).status_code == 401
