"""Embeddings through the real client, against sentence-transformers."""

from __future__ import annotations

import base64
import struct
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openai import BadRequestError
from openai.types import CreateEmbeddingResponse
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer

from tenants.kernel.scope import tenant_scope
from tenants.usage.models import UsageEvent
from tests.workers.engine.factories import write_jsonl
from tests.workers.engine.tasks.factories import spec, trained
from tests.workers.engine.tasks.texts import encoder_folder, pairs
from tests.workers.serving.factories import customer, embedding_base
from tests.workers.serving.offers import on_offer
from tests.workers.serving.replicas import Parent
from workers.assets.local_bases import embedding_model_folder
from workers.engine.inference.embed import EmbeddingModel

pytestmark = pytest.mark.django_db

TEXTS = ["A list holds items.", "Ships lie in the harbour.", "ß and 汉字 too"]


def test_vectors_and_counts_are_those_of_the_reference(
    embedding_replica: Parent, client: Any
) -> None:
    acme = customer()
    # when the ordinary client asks (it decodes base64 by itself)
    answer = client(acme).embeddings.create(model="minilm", input=TEXTS)
    CreateEmbeddingResponse.model_validate(answer.to_dict())
    # then the vectors are sentence-transformers' own
    folder = str(embedding_model_folder())
    expected = SentenceTransformer(folder, device="cpu").encode(TEXTS, normalize_embeddings=True)
    found = np.array([item.embedding for item in answer.data])
    assert np.allclose(found, expected, atol=1e-5)
    # and the tokens transformers' own, charged as such
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = sum(len(tokenizer(text).input_ids) for text in TEXTS)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == tokens
    with tenant_scope(acme.tenant_id):
        used = dict(UsageEvent.objects.values_list("meter", "quantity"))
    assert used == {"requests": 1, "tokens.embedded": tokens}


def test_an_encoder_of_ones_own_answers_with_its_own_vectors(
    db: None, client: Any, tmp_path: Path
) -> None:
    # given an encoder that was fine-tuned on pairs, on offer with a replica of its own
    folder = encoder_folder(tmp_path / "bert")
    settings = spec("embeddings", epochs=2, learning_rate=1e-3, max_length=96)
    made = trained(folder, settings, write_jsonl(tmp_path / "t", pairs(48)), tmp_path / "run")
    assert made.artifact, made.error
    acme, base = customer(), embedding_base(folder, "bert")
    with on_offer(acme, base, made.artifact.path, settings, tmp_path) as name:
        answer = client(acme).embeddings.create(model=name, input=TEXTS)
    expected, counts = EmbeddingModel.load(made.artifact.path).embed(TEXTS)
    untouched, _ = EmbeddingModel.load(folder).embed(TEXTS)
    found = np.array([item.embedding for item in answer.data])
    assert np.allclose(found, expected, atol=1e-5)
    assert not np.allclose(found, untouched, atol=1e-2)
    with tenant_scope(acme.tenant_id):
        used = dict(UsageEvent.objects.values_list("meter", "quantity"))
    assert used == {"requests": 1, "tokens.embedded": sum(counts)}


def test_floats_base64_token_arrays_and_dimensions_agree(
    embedding_replica: Parent, client: Any, web: str
) -> None:
    acme = customer()
    embeddings = client(acme).embeddings
    whole = embeddings.create(model="minilm", input="ships", encoding_format="float")
    vector = np.array(whole.data[0].embedding)
    # base64 is little-endian float32
    raw = httpx.post(
        f"{web}/v1/embeddings",
        json={"model": "minilm", "input": "ships", "encoding_format": "base64"},
        headers={"authorization": f"Bearer {acme.key}"},
    ).json()["data"][0]["embedding"]
    assert np.allclose(struct.unpack("<384f", base64.b64decode(raw)), vector, atol=1e-6)
    # token ids mean their text
    tokenizer = AutoTokenizer.from_pretrained(embedding_model_folder())
    ids = tokenizer("ships", add_special_tokens=False).input_ids
    by_ids = embeddings.create(model="minilm", input=[ids], encoding_format="float")
    assert np.allclose(by_ids.data[0].embedding, vector, atol=1e-6)
    # fewer dimensions are the first ones, of length 1 again
    short = embeddings.create(model="minilm", input="ships", dimensions=64)
    cut = vector[:64] / np.linalg.norm(vector[:64])
    assert np.allclose(short.data[0].embedding, cut, atol=1e-5)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"input": ""}, "input.0"),
        ({"input": []}, "input"),
        ({"input": ["fine", ""]}, "input.1"),
        ({"input": [[99_999_999]]}, "input"),
        ({"input": "word " * 600}, "input.0"),
        ({"input": "x", "dimensions": 385}, None),
        ({"input": "x", "model": "tiny"}, "model"),
    ],
)
def test_bad_input_is_refused_by_name(
    embedding_replica: Parent, tiny: Any, client: Any, asked: Any, param: str | None
) -> None:
    from tests.workers.serving.factories import text_base

    text_base(tiny)
    with pytest.raises(BadRequestError) as refused:
        client(customer()).embeddings.create(**{"model": "minilm"} | asked)
    assert refused.value.param == param
