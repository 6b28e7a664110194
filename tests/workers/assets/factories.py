"""Builders for tests about files and models: a tiny base model, data files, folders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from tenants.accounts.services import SignedUp, platform_tenant_ensure
from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.scope import tenant_scope
from tests.tenants.accounts.factories import owner_of
from workers.assets.card import Card
from workers.assets.models import BaseModel, File, ModelVersion
from workers.assets.services import (
    base_model_register,
    file_create,
    model_version_create,
    version_seal,
)

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIALS = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


def chat(question: str, answer: str) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    }


def jsonl(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


GOOD = jsonl(chat(f"Question {n}?", f"Answer {n}.") for n in range(10))


def model_folder(folder: Path, *, seed: int = 0, context: int = 64) -> Path:
    """A folder in Hugging Face layout with a real tokenizer and a few random weights."""
    folder.mkdir(parents=True)
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        ["Question? Answer."],
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=[AddedToken(text, special=True) for text in SPECIALS],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    core.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>"}))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    config = {"model_type": "llama", "max_position_embeddings": context, "vocab_size": 300}
    (folder / "config.json").write_text(json.dumps(config))
    weights = np.random.default_rng(seed).normal(size=(30, 10)).astype(np.float32)
    save_file({"embed": weights, "bias": weights[0]}, folder / "model.safetensors")
    return folder


def base_make(folder: Path, *, model_id: str = "tiny", **fields: Any) -> BaseModel:
    platform_tenant_ensure()
    given = {"kind": "text_generation", "licence": "apache-2.0", **fields}
    return base_model_register(path=model_folder(folder), model_id=model_id, **given)


def file_make(tenant: SignedUp, content: bytes = GOOD, **fields: Any) -> File:
    given = {"filename": "train.jsonl", "purpose": "fine-tune", **fields}
    with tenant_scope(tenant.tenant.id):
        return file_create(actor=owner_of(tenant), chunks=[content], **given)


def data_key_of(tenant: SignedUp) -> bytes:
    with tenant_scope(tenant.tenant.id):
        return tenant_data_key(tenant.tenant.id)


def adapter_folder(folder: Path, *, fill: float = 1.0) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2}))
    weights = np.full((2, 10), fill, dtype=np.float32)
    save_file({"lora_A": weights, "lora_B": weights.T.copy()}, folder / "adapter_model.safetensors")
    return folder


def version_make(
    tenant: SignedUp,
    base: BaseModel,
    folder: Path,
    *,
    job_id: str = "ftjob-00000001",
    **fields: Any,
) -> ModelVersion:
    """An adapter of `tenant`, as the end of a job makes it."""
    card = Card(name="x", kind="adapter", base_id=base.id, licence=base.licence, code_version="0")
    stored = version_seal(
        tenant_id=tenant.tenant.id, data_key=data_key_of(tenant), folder=folder, card=card
    )
    given: dict[str, Any] = {
        "kind": ModelVersion.Kind.ADAPTER,
        "suffix": "mine",
        "parent_id": None,
        "dataset_id": None,
        "spec": {"epochs": 1},
        "metrics": {"loss": 1.5},
    }
    with tenant_scope(tenant.tenant.id):
        return model_version_create(
            tenant_id=tenant.tenant.id,
            base_id=base.id,
            folder=folder,
            job_id=job_id,
            stored=stored,
            **{**given, **fields},
        )
