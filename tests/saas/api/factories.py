"""Callers of the API, and one of everything that a tenant can own."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from safetensors.numpy import save_file

from saas.campaigns import campaign_submit
from saas.procurement import procurement_submit
from tenants.accounts.actors import Actor, system_actor
from tenants.accounts.models import Tenant
from tenants.accounts.roles import Role
from tenants.accounts.selectors import actor_by_member
from tenants.accounts.services import (
    api_key_create,
    platform_tenant_ensure,
    tenant_sign_up,
    user_create,
)
from tenants.costs.models import WasteFinding
from tenants.costs.overheads import overhead_set
from tenants.costs.waste import Leak, findings_open
from tenants.kernel.clock import now
from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.market.models import AlertDelivery, MarketAlert, MarketProduct
from tenants.pricing.defaults import FIRST_VERSION, LIST_BOOK
from tenants.usage.ingestion import NewUsage
from tenants.usage.services import usage_record
from tests.credit import credit_give
from tests.saas.api.marketplace import (
    ENABLING,
    RUNNING,
    listing_made,
    partner_become,
    payout_made,
    plugin_offered,
    service_offered,
)
from tests.saas.money import (
    billed,
    on_credit,
    stray_transfer,
    stripe_finding,
    stripe_visit,
    top_up,
)
from tests.tenants.pricing.floors_made import budget_open, proposed
from workers.assets.models import BaseModel, ModelVersion
from workers.assets.selectors import model_resolve
from workers.assets.services import base_model_register, model_version_create
from workers.assets.storage import folder_write, object_key
from workers.engine.compression.candidates import Candidate
from workers.jobs.models import Job
from workers.jobs.states import State
from workers.waste.actions import version_of

PASSWORD = "correct horse 9"
BASE = "tiny-1"


@dataclass(frozen=True)
class Reply:
    """An answer: its status, headers and JSON."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["error"]
        assert set(found) == {"message", "type", "param", "code"}
        assert found["message"]
        return found


@dataclass
class Caller:
    """Someone with an API key (or none), speaking HTTP to the whole stack of middleware."""

    secret: str | None
    tenant: Tenant | None = None
    actor: Actor | None = None
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | str | None = None,
        content_type: str = "application/json",
        **headers: str,
    ) -> Reply:
        if self.secret:
            headers.setdefault("Authorization", f"Bearer {self.secret}")
        sent = raw if raw is not None else b"" if body is None else json.dumps(body)
        answer = self.client.generic(
            method,
            path,
            sent,
            content_type=content_type,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        return reply_of(answer)

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Reply:
        return self.send("POST", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Reply:
        return self.send("DELETE", path, **headers)

    def form(self, path: str, fields: dict[str, Any], **headers: str) -> Reply:
        headers.setdefault("Authorization", f"Bearer {self.secret}")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return reply_of(self.client.post(path, fields, headers=named))

    def upload(
        self, content: bytes, name: str = "train.jsonl", purpose: str = "fine-tune"
    ) -> Reply:
        file = SimpleUploadedFile(name, content, content_type="application/jsonl")
        return self.form("/v1/files", {"purpose": purpose, "file": file})


def compression_body(file_id: str) -> dict[str, Any]:
    return {"model": BASE, "file": file_id, "settings": {"quantise": "int8_dynamic"}}


SEARCH: dict[str, Any] = {
    "target": {"latency": 0.5, "bytes": 0.0, "quality_loss": 0.1},
    "reached": True,
    "limit": "",
    "recommended": Candidate(0.5, "wanda", "int8_dynamic", 0.4, 0.3, 0.08, True).to_dict(),
    "candidates": [Candidate(0.25, "wanda", "none", 0.8, 0.85, 0.02).to_dict()],
    "measured": [Candidate(0.5, "wanda", "int8_dynamic", 0.4, 0.3, 0.08, True).to_dict()],
    "front": [Candidate(0.5, "wanda", "int8_dynamic", 0.4, 0.3, 0.08, True).to_dict()],
}


def compression_end(job_id: str, *, name: str = "ft:small", **report: Any) -> None:
    """Let a compression have succeeded, as its worker would write it."""
    result = {
        "model_name": name,
        "metrics": {
            "dense_bytes": 100.0, "bytes": 30.0, "dense_perplexity": 5.0,
            "dense_latency_ms": 16.0, "latency_ms": 4.0,
        },
        "report": {"settings": {"quantise": "int8_dynamic"}, **report},
    }  # fmt: skip
    with system_scope():
        Job.objects.filter(pk=job_id).update(state=State.SUCCEEDED, result=result)


def reply_of(answer: Any) -> Reply:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return Reply(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, content)


def tenant_caller(
    organisation: str = "Acme", *, role: Role = Role.OWNER, scopes: tuple[str, ...] = ()
) -> Caller:
    """Sign a tenant up and give it a key."""
    signed_up = tenant_sign_up(
        organisation=organisation, email=f"{new_id('x')}@example.com", password=PASSWORD
    )
    owner = actor_by_member(signed_up.member)
    credit_give(signed_up.tenant.id)
    with tenant_scope(signed_up.tenant.id):
        issued = api_key_create(actor=owner, name="test", role=role, scopes=scopes)
    return Caller(issued.secret, signed_up.tenant, owner)


def operator_caller(role: Role = Role.ADMIN) -> Caller:
    platform = platform_tenant_ensure()
    with tenant_scope(platform.id):
        actor = system_actor(platform.id)
        issued = api_key_create(actor=actor, name="staff", role=role)
    return Caller(issued.secret, platform)


def base_register(folder: Path, model_id: str = BASE) -> BaseModel:
    platform_tenant_ensure()
    return base_model_register(
        path=folder,
        model_id=model_id,
        kind=BaseModel.Kind.TEXT_GENERATION,
        licence="apache-2.0",
    )


def jsonl(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def chats(count: int = 12) -> bytes:
    """A small, valid training file."""
    return jsonl(
        *(
            {
                "messages": [
                    {"role": "user", "content": f"What follows {n}?"},
                    {"role": "assistant", "content": f"{n + 1}."},
                ]
            }
            for n in range(count)
        )
    )


def version_make(
    caller: Caller, base_id: str = BASE, suffix: str = "made", parent: str = ""
) -> ModelVersion:
    """A sealed adapter of the caller's tenant, with a weight of four numbers."""
    assert caller.tenant is not None
    with tempfile.TemporaryDirectory() as name, tenant_scope(caller.tenant.id):
        folder = Path(name)
        save_file({"w": np.zeros((2, 2), np.float32)}, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
        stored = folder_write(
            tenant_id=caller.tenant.id,
            key=object_key(caller.tenant.id, "versions"),
            folder=folder,
            data_key=tenant_data_key(caller.tenant.id),
        )
        return model_version_create(
            tenant_id=caller.tenant.id,
            base_id=base_id,
            kind=ModelVersion.Kind.ADAPTER,
            folder=folder,
            suffix=suffix,
            job_id="",
            parent_id=model_resolve(parent).version.id if parent else None,  # type: ignore[union-attr]
            dataset_id=None,
            spec={},
            metrics={"loss": 1.5},
            stored=stored,
        )


def usage_make(
    caller: Caller, quantity: int = 7, *, meter: str = "tokens.input", **dimensions: str
) -> None:
    assert caller.tenant is not None
    event = NewUsage(
        meter=meter,
        quantity=Decimal(quantity),
        event_time=now(),
        source="gateway",
        key=new_id("key"),
        dimensions={
            "model": BASE,
            "base": BASE,
            **(dimensions or {"endpoint": "chat.completions"}),
        },
    )
    with tenant_scope(caller.tenant.id):
        usage_record(tenant_id=caller.tenant.id, events=[event])


def one_of_everything(caller: Caller) -> dict[str, str]:
    """Make one of each thing with an address of its own; the address's parameter → its id."""
    file_id = caller.upload(chats()).json["id"]
    upload = {"filename": "a.jsonl", "purpose": "fine-tune", "bytes": 3, "mime_type": "text/plain"}
    job = {"model": BASE, "training_file": file_id}
    email = f"{new_id('x')}@example.com"
    user_create(email=email, password=PASSWORD)
    version = version_make(caller)
    replies = {
        "upload_id": caller.post("/v1/uploads", upload),
        "dataset_id": caller.post("/v1/datasets", {"file": file_id, "model": BASE}),
        "quote_id": caller.post("/v1/quotes", {"kind": "fine_tune", **job}),
        "job_id": caller.post("/v1/fine_tuning/jobs", job),
        "evaluation_id": caller.post("/v1/evaluations", {"model": BASE, "file": file_id}),
        "compression_id": caller.post("/v1/compressions", compression_body(file_id)),
        "deployment_id": caller.post("/v1/deployments", {"model": version.name}),
        "api_key_id": caller.post("/v1/api_keys", {"name": "another"}),
        "budget_id": caller.post("/v1/budgets", {"soft": "900", "hard": "1000"}),
        "member_id": caller.post("/v1/members", {"email": email, "role": "viewer"}),
    }
    for name, reply in replies.items():
        assert reply.status in {200, 201}, f"{name}: {reply.content!r}"
    made = {name: str(reply.json["id"]) for name, reply in replies.items()}
    compression_end(made["compression_id"], search=SEARCH)
    rest = {**money_of(caller), **marketplace_of(caller)}
    return {**made, "file_id": file_id, "model": version.name, **rest}


def marketplace_of(caller: Caller) -> dict[str, str]:
    """What a tenant has of the marketplace, as customer and as partner."""
    assert caller.tenant is not None
    partner_become(caller.tenant)
    plugin_offered()
    service = service_offered(caller.tenant)
    replies = {
        "installation_id": caller.post("/v1/plugins", ENABLING),
        "pipeline_id": caller.post("/v1/pipelines", RUNNING),
        "order_id": caller.post("/v1/orders", {"service": service.id}),
    }
    for name, reply in replies.items():
        assert reply.status == 201, f"{name}: {reply.content!r}"
    made = {name: str(reply.json["id"]) for name, reply in replies.items()}
    return {
        **made,
        "sold_order_id": made["order_id"],
        "listing_id": listing_made(caller.tenant).id,
        "payout_id": payout_made(caller.tenant).id,
    }


def money_of(caller: Caller) -> dict[str, str]:
    """What staff make of a tenant's money: its last month's invoice, a payment, a contract."""
    assert caller.tenant is not None
    contract_id = on_credit(caller.tenant)
    month = billed(caller.tenant)
    return {
        "tenant_id": caller.tenant.id,
        "contract_id": contract_id,
        "invoice_id": month.invoice.id,
        "line_id": month.line.id,
        "statement_id": month.statement.id,
        "payment_id": top_up(caller.tenant).id,
        "visit_id": stripe_visit(caller.tenant).id,
    }


def waste_make(subject: str = "worker.cpu") -> WasteFinding:
    """A worker that does not exist any more is said to have no work."""
    with system_scope():
        arguments = {"workers": ["wrk_1"]}
        findings_open(
            kinds=["idle_workers"],
            leaks=[
                Leak(
                    kind="idle_workers",
                    subject=subject,
                    saving=Decimal("12.50"),
                    beside=Decimal("12.50"),
                    action="drain",
                    version=version_of("drain", subject, arguments),
                    arguments=arguments,
                    evidence={"slots": 4, "slots_after": 2},
                )
            ],
        )
        row: WasteFinding = WasteFinding.objects.get(subject=subject, state="open")
    return row


def shared_money() -> dict[str, str]:
    """What belongs to no tenant: the list's prices, a transfer that nobody has claimed."""
    return {
        "price_book_id": LIST_BOOK,
        "price_version_id": FIRST_VERSION,
        "transfer_id": stray_transfer().id,
        "finding_id": stripe_finding().id,
        **priced(),
        **market_facts(),
        "waste_id": waste_make().id,
        **procurement_facts(),
    }


def market_facts() -> dict[str, str]:
    """A rival's product, an alert on it, an offer of ours, a rehearsed price war."""
    from tests.tenants.market.factories import campaign
    from tests.tenants.market.market import cut, launched, operator, read, sold

    sold()
    read(launched(), cut())
    with system_scope():
        job = campaign_submit(actor=operator(), spec=campaign())
        AlertDelivery.objects.create(alert=MarketAlert.objects.get(), state="dead")
        return {
            "product_id": MarketProduct.objects.get().id,
            "alert_id": MarketAlert.objects.get().id,
            "base": BASE,
            "campaign_id": job.id,
            "name": "cash",
        }


def procurement_facts() -> dict[str, str]:
    """An offer of compute, a plan that waits to be worked out, an overhead."""
    from tests.tenants.costs.factories import operator
    from tests.tenants.costs.plans_made import books_make, offer_make, wish

    offer = offer_make(books_make())
    with system_scope():
        plan = procurement_submit(actor=operator(), wish=wish(), key=new_id("key_"))
        overhead = overhead_set(
            actor=operator(), name="office", amount=Decimal(1), driver="seconds",
            planned=Decimal(10**12),
        )  # fmt: skip
    return {"offer_id": offer.id, "plan_id": plan.id, "overhead_id": overhead.id}


def priced() -> dict[str, str]:
    """A loss budget, and a price that is proposed under it."""
    budget = budget_open()
    proposal = proposed("4.5", loss_budget_id=budget.id)
    return {"loss_budget_id": budget.id, "price_proposal_id": proposal.id}
