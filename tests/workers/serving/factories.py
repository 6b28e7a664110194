"""Tenants with keys, registered bases, sealed adapters: small and real."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from tenants.accounts.actors import Actor
from tenants.accounts.selectors import actor_by_member
from tenants.accounts.services import api_key_create, platform_tenant_ensure, tenant_sign_up
from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.scope import system_scope, tenant_scope
from tests.credit import credit_give
from workers.assets.card import Card
from workers.assets.models import BaseModel, ModelVersion
from workers.assets.services import base_model_register, model_version_create, version_seal

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Customer:
    """A tenant with its owner and a key."""

    tenant_id: str
    actor: Actor
    key: str
    key_id: str


def customer(name: str = "Acme") -> Customer:
    signed_up = tenant_sign_up(
        organisation=name, email=f"{name.lower()}@example.com", password="correct horse battery"
    )
    actor = actor_by_member(signed_up.member)
    credit_give(signed_up.tenant.id)
    with tenant_scope(signed_up.tenant.id):
        issued = api_key_create(actor=actor, name="tests")
    return Customer(signed_up.tenant.id, actor, issued.secret, issued.row.id)


def text_base(folder: Path, name: str = "tiny") -> BaseModel:
    return _register(folder, name, BaseModel.Kind.TEXT_GENERATION)


def embedding_base(folder: Path, name: str = "minilm") -> BaseModel:
    return _register(folder, name, BaseModel.Kind.EMBEDDING)


def _register(folder: Path, name: str, kind: str) -> BaseModel:
    platform_tenant_ensure()
    with system_scope():
        return base_model_register(path=folder, model_id=name, kind=kind, licence="apache-2.0")


def adapter_folder(base: Path, into: Path, *, seed: int) -> Path:
    """A LoRA adapter that changes much, made by peft itself."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
    adapted.save_pretrained(into)
    return into


def version_of(
    owner: Customer,
    base: BaseModel,
    folder: Path,
    *,
    name: str | None = None,
    kind: str = ModelVersion.Kind.ADAPTER,
    job_id: str = "",
    task: str = "",
    over: ModelVersion | None = None,
) -> ModelVersion:
    """Seal a folder as a version of the tenant. `name` replaces the one it would be given."""
    with tenant_scope(owner.tenant_id):
        key = tenant_data_key(owner.tenant_id)
        stored = version_seal(
            tenant_id=owner.tenant_id,
            data_key=key,
            folder=folder,
            card=Card(name="t", kind=kind, base_id=base.id, licence="x", code_version="0"),
        )
        row = model_version_create(
            tenant_id=owner.tenant_id,
            base_id=base.id,
            kind=kind,
            folder=folder,
            suffix="test",
            job_id=job_id,
            parent_id=None,
            dataset_id=None,
            spec={"task": task} if task else {},
            over=over,
            metrics={},
            stored=stored,
        )
        if name is not None:
            ModelVersion.objects.filter(pk=row.pk).update(name=name)
            row.name = name
        return row


def copied(folder: Path, into: Path) -> Path:
    """A folder of one's own: sealing writes a model card into it."""
    return Path(shutil.copytree(folder, into))
