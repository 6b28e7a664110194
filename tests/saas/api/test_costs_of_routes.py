"""Every route that writes is known to cost money or to be free, and those that cost are refused
without credit, beyond a hard budget, and to the suspended, with nothing begun.

The routes come from the URL conf and from the gateway: a new one that is in neither list fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tenants.accounts.models import Tenant
from tenants.kernel.models import OutboxEvent
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.models import Hold
from tenants.ledger.selectors import wallet_balance
from tenants.ledger.services import budget_create, hold_place
from tenants.pricing.models import Charge
from tests.saas.api.factories import (
    BASE,
    Caller,
    Reply,
    chats,
    compression_body,
    version_make,
)
from tests.saas.api.marketplace import (
    ENABLING,
    PLUGIN,
    RUNNING,
    partner_become,
    plugin_offered,
    service_offered,
)
from tests.saas.api.routes import api_routes
from tests.saas.api.test_schema import document
from workers.assets.models import BaseModel, File, Upload
from workers.jobs.models import Job
from workers.serving.gateway.app import PATHS
from workers.serving.models import Deployment

pytestmark = pytest.mark.django_db

# a route that writes and costs nothing → why
FREE = {
    "POST /v1/uploads/{upload_id}/parts": "what is stored is counted once the file is whole",
    "POST /v1/uploads/{upload_id}/cancel": "ends something",
    "DELETE /v1/files/{file_id}": "ends something",
    "DELETE /v1/models/{model}": "ends something",
    "POST /v1/datasets": "reads a file that is stored already; no meter counts it",
    "POST /v1/quotes": "says what something would cost",
    "POST /v1/fine_tuning/recipes": "reads a text and keeps nothing",
    "POST /v1/fine_tuning/jobs/{job_id}/cancel": "ends something",
    "POST /v1/fine_tuning/jobs/{job_id}/pause": "lets something wait",
    "POST /v1/evaluations/{evaluation_id}/cancel": "ends something",
    "POST /v1/compressions/{compression_id}/cancel": "ends something",
    "POST /v1/deployments/{deployment_id}": "changes limits; what runs within them is held apart",
    "DELETE /v1/deployments/{deployment_id}": "ends something",
    "POST /v1/deployments/{deployment_id}/sleep": "ends something",
    "POST /v1/usage/events": "tells of work that was done elsewhere",
    "POST /v1/sign_up": "there is no tenant yet",
    "POST /v1/api_keys": "administration",
    "DELETE /v1/api_keys/{api_key_id}": "administration",
    "POST /v1/api_keys/{api_key_id}/rotate": "administration",
    "POST /v1/members": "administration",
    "POST /v1/tax_profile": "administration",
    "POST /v1/organization/settings": "administration",
    "POST /v1/wallet/top_ups": "brings money in",
    "POST /v1/payment_methods": "administration",
    "POST /v1/billing_portal": "administration",
    "POST /v1/members/{member_id}": "administration",
    "DELETE /v1/members/{member_id}": "administration",
    "POST /v1/budgets": "administration",
    "POST /v1/budgets/{budget_id}": "administration",
    "DELETE /v1/budgets/{budget_id}": "administration",
    "POST /v1/plugins": "administration; what a plugin does is charged as it runs",
    "POST /v1/plugins/{installation_id}": "administration",
    "DELETE /v1/plugins/{installation_id}": "administration",
    "POST /v1/plugins/{installation_id}/upgrade": "administration",
    "POST /v1/plugins/{installation_id}/roll_back": "administration",
    "POST /v1/pipelines/{pipeline_id}/cancel": "ends something",
    "POST /v1/pipelines/{pipeline_id}/pause": "lets something wait",
    "POST /v1/orders/{order_id}/confirm": "charges what was set aside when both sides agreed",
    "POST /v1/orders/{order_id}/reject": "charges nothing",
    "POST /v1/orders/{order_id}/cancel": "ends something",
    "POST /v1/orders/{order_id}/rating": "says what one thinks",
    "POST /v1/partner/listings": "a partner's: it sells",
    "POST /v1/partner/orders/{sold_order_id}/quote": "a partner's: it sells",
    "POST /v1/partner/orders/{sold_order_id}/accept": "a partner's: it sells",
    "POST /v1/partner/orders/{sold_order_id}/decline": "a partner's: it sells",
    "POST /v1/partner/orders/{sold_order_id}/deliver": "a partner's: it sells",
}
# staff's, who are charged for nothing: what each does to a customer's money → why it asks for none
STAFF = {
    "POST /operator/v1/tenants/{tenant_id}/suspend": "refuses new work; charges nothing",
    "POST /operator/v1/tenants/{tenant_id}/reactivate": "lets work begin that is checked itself",
    "POST /operator/v1/tenants/{tenant_id}/close": "ends something; what is owed stays owed",
    "POST /operator/v1/price_books": "prices; what is sold at them is checked itself",
    "POST /operator/v1/price_books/{price_book_id}/versions": "prices of a draft",
    "POST /operator/v1/price_versions/{price_version_id}/publish": "prices from a day on",
    "POST /operator/v1/price_overrides": "a reason why a price may lie below its floor",
    "POST /operator/v1/contracts": "terms; a plan's fee is what was agreed, whatever is left",
    "POST /operator/v1/contracts/{contract_id}/end": "ends something",
    "POST /operator/v1/contracts/{contract_id}/subscription": "collects what the contract owes",
    "POST /operator/v1/contracts/{contract_id}/subscription/cancel": "ends something",
    "POST /operator/v1/grants": "gives credit",
    "POST /operator/v1/payments": "brings money in",
    "POST /operator/v1/payments/{payment_id}/refunds": "gives unused credit back to its payer",
    "POST /operator/v1/bank_transfers": "brings money in",
    "POST /operator/v1/bank_transfers/{transfer_id}/assign": "brings money in",
    "POST /operator/v1/statements/{statement_id}/approval": "says whether staff must look first",
    "POST /operator/v1/statements/{statement_id}/approve": "says that a month is right",
    "POST /operator/v1/statements/{statement_id}/finalise": "states what was used, owed already",
    "POST /operator/v1/statements/{statement_id}/rerate": "computes again and compares",
    "POST /operator/v1/invoices/{invoice_id}/credit_notes": "gives back",
    "POST /operator/v1/invoices/{invoice_id}/refunds": "gives back",
    "POST /operator/v1/invoices/{invoice_id}/void": "gives back",
    "POST /operator/v1/invoices/{invoice_id}/uncollectible": "gives up a debt",
    "POST /operator/v1/stripe/findings/{finding_id}/close": "settles a finding",
    "POST /operator/v1/floor_policy": "says how floors are told",
    "POST /operator/v1/floor_findings/sweep": "looks at prices",
    "POST /operator/v1/loss_budgets": "says how much the company may lose",
    "POST /operator/v1/loss_budgets/{loss_budget_id}/close": "ends something",
    "POST /operator/v1/price_proposals": "a price that holds nowhere yet",
    "POST /operator/v1/price_proposals/{price_proposal_id}/approve": "prices from a day on",
    "POST /operator/v1/price_proposals/{price_proposal_id}/refuse": "ends something",
    "POST /operator/v1/price_proposals/{price_proposal_id}/end": "gives a price back",
    "POST /operator/v1/market/imports": "writes down what rivals ask",
    "POST /operator/v1/market/products/{product_id}": "says what is compared",
    "PUT /operator/v1/market/offers/{base}": "says what is compared",
    "POST /operator/v1/market/alerts/{alert_id}/see": "takes note",
    "POST /operator/v1/market/alerts/{alert_id}/resend": "sends the operator's own webhook again",
    "POST /operator/v1/campaigns": "the platform's own work, which costs no customer",
    "POST /operator/v1/campaigns/draft": "reads the books",
    "POST /operator/v1/campaigns/{campaign_id}/cancel": "ends something",
    "POST /operator/v1/campaigns/{campaign_id}/propose": "prices that hold nowhere yet",
    "POST /operator/v1/costs/rates": "what the company pays from a day on",
    "POST /operator/v1/costs/overheads": "what the company pays from a day on",
    "POST /operator/v1/costs/overheads/{overhead_id}/end": "ends something",
    "POST /operator/v1/procurement/offers": "writes down what sellers ask",
    "POST /operator/v1/procurement/offers/import": "writes down what sellers ask",
    "POST /operator/v1/procurement/offers/{offer_id}/withdraw": "ends something",
    "POST /operator/v1/procurement/plans": "the platform's own work, which costs no customer",
    "POST /operator/v1/procurement/plans/{plan_id}/cancel": "ends something",
    "POST /operator/v1/procurement/plans/{plan_id}/adopt": "says what the company bought",
    "POST /operator/v1/waste/{waste_id}/apply": "makes work cost the platform less",
    "POST /operator/v1/waste/{waste_id}/undo": "takes that back",
    "POST /operator/v1/waste/{waste_id}/close": "settles a finding",
    "POST /operator/v1/listings/{listing_id}/check": "reads a wheel",
    "POST /operator/v1/listings/{listing_id}/approve": "says that a person has looked",
    "POST /operator/v1/listings/{listing_id}/publish": "prices; what is sold is checked itself",
    "POST /operator/v1/listings/{listing_id}/suspend": "ends something",
    "POST /operator/v1/listings/{listing_id}/refuse": "ends something",
    "POST /operator/v1/agreements": "a partner's part of what is charged",
    "POST /operator/v1/agreements/end": "ends something",
    "POST /operator/v1/payouts": "pays a partner what it has earned",
    "POST /operator/v1/payouts/{payout_id}/confirm": "tells of a transfer that was made",
    "POST /operator/v1/tax_rates": "tax from a day on; what is taxed is checked itself",
}


@dataclass(frozen=True)
class Things:
    """What the costing routes need: made while there was credit."""

    file_id: str
    upload_id: str
    part_id: str
    paused_id: str
    model: str
    deployment_id: str
    pipeline_id: str
    service_id: str
    quoted_id: str


@pytest.fixture
def things(base: BaseModel, api: Caller) -> Things:
    file_id = api.upload(chats()).json["id"]
    upload = {"filename": "a.jsonl", "purpose": "fine-tune", "bytes": 3, "mime_type": "text/plain"}
    upload_id = api.post("/v1/uploads", upload).json["id"]
    part = SimpleUploadedFile("data", b"{}\n")
    part_id = api.form(f"/v1/uploads/{upload_id}/parts", {"data": part}).json["id"]
    job = {"model": BASE, "training_file": file_id}
    paused_id = api.post("/v1/fine_tuning/jobs", job).json["id"]
    api.post(f"/v1/fine_tuning/jobs/{paused_id}/pause")
    offered = version_make(api, suffix="offered").name
    deployment_id = api.post("/v1/deployments", {"model": offered}).json["id"]
    pipeline_id, service_id, quoted_id = of_the_marketplace(api)
    with system_scope():  # a job from before there were prices has nothing set aside
        Job.objects.filter(pk__in=[paused_id, pipeline_id]).update(
            quote_id="", currency="", bound=None
        )
    model = version_make(api, suffix="free").name
    return Things(
        file_id,
        upload_id,
        part_id,
        paused_id,
        model,
        deployment_id,
        pipeline_id,
        service_id,
        quoted_id,
    )


def of_the_marketplace(api: Caller) -> tuple[str, str, str]:
    """A paused pipeline, a service with a price, and an order that waits to be agreed to."""
    assert api.tenant is not None
    partner_become(api.tenant)
    plugin_offered()
    api.post("/v1/plugins", ENABLING)
    pipeline_id = api.post("/v1/pipelines", RUNNING).json["id"]
    api.post(f"/v1/pipelines/{pipeline_id}/pause")
    asked = {"service": service_offered(api.tenant, price=None).id}
    quoted_id = api.post("/v1/orders", asked).json["id"]
    api.post(f"/v1/partner/orders/{quoted_id}/quote", {"price": "1"})
    return pipeline_id, service_offered(api.tenant).id, quoted_id


Drive = Callable[[Caller, Things], Reply]

DRIVERS: Mapping[str, Drive] = {
    "POST /v1/files": lambda c, _: c.upload(chats(3), name="more.jsonl"),
    "POST /v1/uploads": lambda c, _: c.post(
        "/v1/uploads",
        {"filename": "b.jsonl", "purpose": "fine-tune", "bytes": 9, "mime_type": "text/plain"},
    ),
    "POST /v1/uploads/{upload_id}/complete": lambda c, t: c.post(
        f"/v1/uploads/{t.upload_id}/complete", {"part_ids": [t.part_id]}
    ),
    "POST /v1/fine_tuning/jobs": lambda c, t: c.post(
        "/v1/fine_tuning/jobs", {"model": BASE, "training_file": t.file_id}
    ),
    "POST /v1/fine_tuning/jobs/{job_id}/resume": lambda c, t: c.post(
        f"/v1/fine_tuning/jobs/{t.paused_id}/resume"
    ),
    "POST /v1/evaluations": lambda c, t: c.post(
        "/v1/evaluations", {"model": BASE, "file": t.file_id}
    ),
    "POST /v1/compressions": lambda c, t: c.post("/v1/compressions", compression_body(t.file_id)),
    "POST /v1/datasets/import": lambda c, t: c.post("/v1/datasets/import", {"file": t.file_id}),
    "POST /v1/datasets/prepare": lambda c, t: c.post(
        "/v1/datasets/prepare", {"file": t.file_id, "plugin": PLUGIN}
    ),
    "POST /v1/pipelines": lambda c, _: c.post("/v1/pipelines", RUNNING),
    "POST /v1/pipelines/{pipeline_id}/resume": lambda c, t: c.post(
        f"/v1/pipelines/{t.pipeline_id}/resume"
    ),
    "POST /v1/orders": lambda c, t: c.post("/v1/orders", {"service": t.service_id}),
    "POST /v1/orders/{order_id}/agree": lambda c, t: c.post(f"/v1/orders/{t.quoted_id}/agree"),
    "POST /v1/deployments": lambda c, t: c.post("/v1/deployments", {"model": t.model}),
    "POST /v1/deployments/{deployment_id}/wake": lambda c, t: c.post(
        f"/v1/deployments/{t.deployment_id}/wake"
    ),
}
CALLS: Mapping[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hello"}]},
    "/v1/completions": {"prompt": "hello"},
    "/v1/embeddings": {"input": "hello"},
    "/v1/predictions": {"inputs": ["hello"]},
}
COSTING = sorted(
    str(route)
    for route in api_routes()
    if getattr(getattr(route.view, route.method.lower()), "costs", False)
)


def credit_gone(caller: Caller) -> str:
    """All credit is set aside for something else."""
    assert caller.tenant is not None
    tenant_id = caller.tenant.id
    with tenant_scope(tenant_id):
        left = wallet_balance(tenant_id=tenant_id, currency="USD").available
        hold_place(tenant_id=tenant_id, key="everything", amount=left)
    return "insufficient_credit"


def budget_used_up(caller: Caller) -> str:
    assert caller.actor is not None
    with tenant_scope(caller.actor.tenant_id):
        budget_create(actor=caller.actor, subject="tenant", currency="USD", hard=Money.of(0, "USD"))
    return "budget_exceeded"


STATES = [credit_gone, budget_used_up]


def footprint() -> dict[str, Any]:
    """Everything that work begins with."""
    with system_scope():
        counts: dict[str, Any] = {
            model.__name__: model.objects.count()
            for model in (File, Upload, Job, Deployment, Hold, Charge, OutboxEvent)
        }
        counts["states"] = sorted(Job.objects.values_list("id", "state"))
        counts["awake"] = sorted(Deployment.objects.values_list("id", "state", "wanted_until"))
        return counts


def test_every_writing_route_is_classified() -> None:
    writing = {str(route) for route in api_routes() if route.method != "GET"}
    lists = (FREE.keys(), STAFF.keys(), set(COSTING))
    assert set.union(*map(set, lists)) == writing
    assert sum(map(len, lists)) == len(writing)
    assert all(FREE.values())
    assert all(STAFF.values())
    assert {name for name in writing if " /operator/" in name} == STAFF.keys()


def test_every_costing_route_is_driven_and_documents_its_402() -> None:
    assert set(DRIVERS) == set(COSTING)
    assert set(CALLS) == PATHS
    paths = document()["paths"]
    posts = [name.removeprefix("POST ") for name in COSTING] + sorted(PATHS)
    for path, item in paths.items():
        for method, found in item.items():
            is_costing = method == "post" and path in posts
            assert ("402" in found.get("responses", {})) == is_costing, f"{method} {path}"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", COSTING)
def test_what_costs_is_refused_and_begins_nothing(
    api: Caller, things: Things, name: str, state: Callable[[Caller], str]
) -> None:
    code = state(api)
    before = footprint()

    reply = DRIVERS[name](api, things)

    assert (reply.status, reply.error["code"]) == (402, code), reply.content
    assert reply.error["type"] == "insufficient_quota"
    assert footprint() == before


@pytest.mark.parametrize("name", COSTING)
def test_with_credit_it_is_not_refused(api: Caller, things: Things, name: str) -> None:
    """The test above could pass by refusing everyone."""
    assert DRIVERS[name](api, things).status in {200, 201}


@pytest.mark.parametrize("name", COSTING)
def test_the_suspended_begin_nothing(api: Caller, things: Things, name: str) -> None:
    assert api.tenant is not None
    with system_scope():
        Tenant.objects.filter(pk=api.tenant.id).update(status=Tenant.Status.SUSPENDED)
    before = footprint()

    reply = DRIVERS[name](api, things)

    assert (reply.status, reply.error["code"]) == (403, "tenant_suspended"), reply.content
    assert footprint() == before
    assert api.get("/v1/files").status == 200  # but may read


def call(web_url: str, caller: Caller, path: str, model: str) -> httpx.Response:
    return httpx.post(
        f"{web_url}{path}",
        json={**CALLS[path], "model": model},
        headers={"Authorization": f"Bearer {caller.secret}"},
        timeout=30,
    )


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("path", sorted(PATHS))
def test_the_gateways_calls_are_refused_and_wake_nothing(
    api: Caller, things: Things, web_url: str, path: str, state: Callable[[Caller], str]
) -> None:
    del things
    with system_scope():
        kinds = {"/v1/embeddings": "embedding", "/v1/predictions": "text_classification"}
        kind = kinds.get(path, "text_generation")
        BaseModel.objects.filter(pk=BASE).update(kind=kind)
    code = state(api)
    before = footprint()

    reply = call(web_url, api, path, BASE)

    assert (reply.status_code, reply.json()["error"]["code"]) == (402, code), reply.text
    assert footprint() == before


def test_the_suspended_call_no_model(api: Caller, things: Things, web_url: str) -> None:
    del things
    assert api.tenant is not None
    with system_scope():
        Tenant.objects.filter(pk=api.tenant.id).update(status=Tenant.Status.SUSPENDED)
    for path in PATHS:
        reply = call(web_url, api, path, BASE)
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "tenant_suspended")
