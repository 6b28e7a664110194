"""Texts to classes, on real translations, against transformers' own and a plain baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tokenizers import Tokenizer as CoreTokenizer
from transformers import AutoModelForSequenceClassification

from tests.workers.engine.factories import Recorder, write_jsonl
from tests.workers.engine.tasks.factories import spec, trained
from tests.workers.engine.tasks.texts import catalogue
from workers.assets.local_bases import embedding_model_folder
from workers.engine.protocol import Command, FailureKind, Numerics, Outcome
from workers.engine.specs import SpecError
from workers.engine.tasks.text_classification import TextClassification

LANGUAGES = ("cs", "de", "fi", "fr")


def translations(count: int) -> list[dict[str, str]]:
    """Django's own messages in four languages, `count` of each, longer than a word."""
    rows = []
    for language in LANGUAGES:
        texts = sorted({t for t in catalogue(language).values() if 15 < len(t) < 60})
        rows += [{"text": text, "label": language} for text in texts[:count]]
    order = np.random.default_rng(0).permutation(len(rows))
    return [rows[i] for i in order]


@pytest.mark.slow
def test_minilm_learns_to_tell_languages_apart(tmp_path: Path) -> None:
    # given real translations, a quarter of them held out
    rows = translations(60)
    held_out, train = rows[::4], [row for i, row in enumerate(rows) if i % 4]
    data = write_jsonl(tmp_path / "t.jsonl", train)
    settings = spec("text_classification", epochs=3, learning_rate=2e-4, max_length=64)
    result = trained(
        embedding_model_folder(),
        settings,
        data,
        tmp_path / "run",
        validation=write_jsonl(tmp_path / "v.jsonl", held_out),
    )

    # then held-out texts are told apart better than by words and by chance
    reached = result.metrics["validation_accuracy"]
    plain = make_pipeline(TfidfVectorizer(), LogisticRegression())
    plain.fit([row["text"] for row in train], [row["label"] for row in train])
    by_words = plain.score([r["text"] for r in held_out], [r["label"] for r in held_out])
    assert reached > max(by_words, 0.25)

    # and transformers loads the artifact unmodified and answers the same
    assert result.artifact
    model = AutoModelForSequenceClassification.from_pretrained(result.artifact.path).eval()
    tokenizer = CoreTokenizer.from_file(str(result.artifact.path / "tokenizer.json"))
    tokenizer.no_padding()
    hits = 0
    for row in held_out:
        with torch.no_grad():
            out = model(input_ids=torch.tensor([tokenizer.encode(row["text"]).ids])).logits
        hits += model.config.id2label[int(out.argmax())] == row["label"]
    assert hits / len(held_out) == pytest.approx(reached)


def pairs(count: int = 24) -> list[dict[str, Any]]:
    words = ("red", "green", "blue")
    return [
        {"text": f"{n} {words[n % 3]} " * (1 + n % 4), "label": words[n % 3]} for n in range(count)
    ]


@pytest.mark.parametrize("family", ["bert", "llama", "qwen2", "mistral", "gpt2"])
def test_padded_gradients_equal_transformers_one_by_one(
    bases: dict[str, Path], encoder: Path, tmp_path: Path, family: str
) -> None:
    base = encoder if family == "bert" else bases[family]
    data = write_jsonl(tmp_path / "t.jsonl", pairs(9))
    task = TextClassification(base, spec("text_classification", max_length=96))
    read = task.read(data, tmp_path / "shards", training=True)
    model = task.model(Numerics()).requires_grad_(requires_grad=True)
    batches = task.micro_batches(read, range(9), 100_000, packing=True)
    assert max(batch.examples for batch in batches) > 1
    losses = [task.loss(model, batch, "cpu")[0] for batch in batches]
    loss = torch.stack(losses).sum()
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    model.zero_grad()
    total = 0.0
    for index in range(9):
        ids = torch.tensor(read.shards[index][0].astype(np.int64))[None]
        labels = torch.tensor([int(read.labels[index])])
        one = model(input_ids=ids, labels=labels).loss
        one.backward()
        total += one.item()
    assert loss.item() == pytest.approx(total, rel=1e-5)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert torch.allclose(found[name], parameter.grad, rtol=1e-3, atol=1e-5), name


def test_a_resumed_run_ends_bit_for_bit_as_one_that_never_stopped(
    encoder: Path, tmp_path: Path
) -> None:
    data = write_jsonl(tmp_path / "t.jsonl", pairs())
    settings = spec("text_classification", epochs=4, batch_size=4, max_length=96)
    whole = trained(encoder, settings, data, tmp_path / "whole")
    paused = Recorder(tmp_path, answer=lambda step: Command.PAUSE if step == 7 else Command.GO)
    assert trained(encoder, settings, data, tmp_path / "1", progress=paused).outcome == "paused"
    second = trained(encoder, settings, data, tmp_path / "2", resume=paused.snapshots[-1][1])
    assert whole.artifact
    assert second.artifact
    one = load_file(whole.artifact.path / "model.safetensors")
    other = load_file(second.artifact.path / "model.safetensors")
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "the file has no usable lines"),
        ([{"text": "a", "label": "x"}, {"text": "b", "label": "x"}], "every label is 'x'"),
        ([*pairs(3)[:1] * 2, *pairs(3)[1:2]], "line 3, label: the class 'green' has one example"),
        ([*pairs(6), {"text": "a"}], "line 7, label: the label is None"),
        ([*pairs(6), {"text": " ", "label": "red"}], "line 7, text: the text is missing or empty"),
        ([*pairs(6), ["a"]], "line 7, line: the line is no object"),
        ([*pairs(6), {"text": "no " * 200, "label": "red"}], "line 7, text: the text is"),
    ],
)
def test_broken_data_are_refused_with_line_field_and_remedy(
    encoder: Path, tmp_path: Path, rows: list[Any], message: str
) -> None:
    data = write_jsonl(tmp_path / "t.jsonl", rows)
    settings = spec("text_classification", max_length=96)
    result = trained(encoder, settings, data, tmp_path / "run")
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert message in str(result.error)


def test_a_base_without_tokenizer_is_refused(encoder: Path, tmp_path: Path) -> None:
    import shutil

    bare = Path(shutil.copytree(encoder, tmp_path / "bare"))
    (bare / "tokenizer.json").unlink()
    data = write_jsonl(tmp_path / "t.jsonl", pairs())
    result = trained(bare, spec("text_classification"), data, tmp_path / "run")
    assert "a model folder needs the fast tokenizer's file" in str(result.error)


def test_what_a_classifier_cannot_do_is_refused(encoder: Path) -> None:
    for changes in ({"method": "lora"}, {"length_policy": "split"}):
        with pytest.raises(SpecError):
            TextClassification(encoder, spec("text_classification", **changes))
