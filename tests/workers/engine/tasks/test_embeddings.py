"""Texts to vectors, on real translations, against sentence-transformers and the untouched base."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from transformers import BertModel

from tests.workers.engine.factories import Recorder, handle, write_jsonl
from tests.workers.engine.tasks.factories import spec, trained
from tests.workers.engine.tasks.texts import pairs, translation_pairs
from workers.assets.local_bases import embedding_model_folder
from workers.engine.data.text_pairs import FIELDS
from workers.engine.evaluation import evaluate
from workers.engine.inference.embed import EmbeddingModel
from workers.engine.protocol import Command, EvaluateWork, FailureKind, Numerics, Outcome
from workers.engine.specs import EvaluateSpec, SpecError
from workers.engine.tasks.embeddings import Embeddings
from workers.engine.training.member import Run

TASK = "embeddings"


@pytest.mark.slow
def test_minilm_finds_translations_that_the_untouched_base_does_not(tmp_path: Path) -> None:
    # given English messages and their German translations, 80 pairs of them held out
    rows = translation_pairs("de")
    held_out, train = rows[:80], rows[80:240]
    settings = spec(TASK, epochs=1, learning_rate=3e-4, batch_size=32, max_length=64)
    result = trained(
        embedding_model_folder(),
        settings,
        write_jsonl(tmp_path / "t.jsonl", train),
        tmp_path / "run",
        validation=write_jsonl(tmp_path / "v.jsonl", held_out),
    )

    # then more of the held-out ones are found, as its vectors themselves show
    assert result.artifact, result.error
    before, after = (
        _ranked(folder, held_out) for folder in (embedding_model_folder(), result.artifact.path)
    )
    assert after["mrr"] > before["mrr"] + 0.08
    for name, value in before.items():
        assert result.metrics[f"initial_validation_{name}"] == pytest.approx(value, abs=1e-3)
    for name, value in after.items():
        assert result.metrics[f"validation_{name}"] == pytest.approx(value, abs=1e-3)

    # and sentence-transformers loads it unmodified and says the same
    texts = [row["anchor"] for row in held_out[:4]]
    theirs = SentenceTransformer(str(result.artifact.path), device="cpu").encode(texts)
    ours, _ = EmbeddingModel.load(result.artifact.path).embed(texts)
    assert np.allclose(ours, theirs, atol=1e-5)


def _ranked(folder: Path, rows: list[dict[str, str]]) -> dict[str, float]:
    """Figures of retrieval by their definition, from the vectors that are served."""
    model = EmbeddingModel.load(folder)
    anchors, _ = model.embed([row["anchor"] for row in rows])
    passages = sorted({row["positive"] for row in rows})
    vectors, _ = model.embed(passages)
    ranks = []
    for anchor, row in zip(anchors, rows, strict=True):
        cosines = np.array(vectors) @ np.array(anchor)
        ranks.append(1 + int((cosines > cosines[passages.index(row["positive"])]).sum()))
    inverse = np.mean([1 / rank for rank in ranks])
    first, tenth = (np.mean([rank <= most for rank in ranks]) for most in (1, 10))
    return {"mrr": float(inverse), "recall_at_1": float(first), "recall_at_10": float(tenth)}


@pytest.mark.parametrize("budget", [100_000, 16])
def test_gradients_are_those_of_sentence_transformers(
    encoder: Path, tmp_path: Path, budget: int
) -> None:
    """Also where passes are recomputed one by one: the negatives stay those of the whole update."""
    rows = [row | {"negative": f"{n} and other"} for n, row in enumerate(pairs(9))]
    data = write_jsonl(tmp_path / "t.jsonl", rows)
    task = Embeddings(encoder, spec(TASK, max_length=96))
    read = task.read(data, tmp_path / "data", training=True)
    model: Any = task.model(Numerics()).requires_grad_(requires_grad=True)
    (batch,) = task.micro_batches(read, range(9), budget, packing=True)
    assert len(batch.parts) > 1
    assert batch.fits is (budget != 16)
    loss, _ = task.loss(model, batch, "cpu")
    (loss / batch.weight).backward()

    theirs, expected = _reference(encoder, read, 9)
    assert loss.item() / batch.weight == pytest.approx(expected, rel=1e-5)
    for name, parameter in model.named_parameters():
        reference = theirs[name]
        assert torch.allclose(parameter.grad, reference, rtol=1e-3, atol=1e-5), name


def _reference(folder: Path, read: Any, count: int) -> tuple[dict[str, Any], float]:
    """Gradients and loss of sentence-transformers' own contrastive loss, on a plain BertModel."""
    bert = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()

    def encode(features: dict[str, Any]) -> dict[str, Any]:
        mask = features["attention_mask"][..., None].float()
        out = bert(**features).last_hidden_state * mask
        return {"sentence_embedding": out.sum(1) / mask.sum(1)}

    columns = []
    for column in range(len(FIELDS)):
        texts = [
            torch.tensor(read.shards[int(i)][0].astype(np.int64)) for i in read.texts[:, column]
        ]
        ids = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=1)
        mask = torch.nn.utils.rnn.pad_sequence(
            [torch.ones_like(t) for t in texts], batch_first=True
        )
        columns.append({"input_ids": ids, "attention_mask": mask})
    assert len(columns[0]["input_ids"]) == count
    loss = MultipleNegativesRankingLoss(encode, scale=20.0)(columns, None)
    loss.backward()
    return {name: p.grad for name, p in bert.named_parameters()}, loss.item()


def test_an_equal_positive_is_no_negative(encoder: Path, tmp_path: Path) -> None:
    # given two anchors with the same positive, and nothing else in the batch
    rows = [{"anchor": f"{n} blue", "positive": "the sky"} for n in range(2)]
    task = Embeddings(encoder, spec(TASK, max_length=96))
    read = task.read(write_jsonl(tmp_path / "t", rows), tmp_path / "data", training=True)
    (batch,) = task.micro_batches(read, range(2), 1000, packing=True)
    loss, sums = task.loss(task.model(Numerics()), batch, "cpu")
    # then there is nothing to tell it from
    assert loss.item() == 0
    assert sums["hits"] == 2


def test_memory_that_runs_out_changes_no_result(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first update's passes fail until they are short; then it goes on as it would have."""
    data = write_jsonl(tmp_path / "t.jsonl", pairs())
    settings = spec(TASK, epochs=1, batch_size=8, max_length=96)
    whole = trained(encoder, settings, data, tmp_path / "whole")
    real = Run._gradient

    def narrow(run: Run, batches: Any) -> Any:
        if max(part.ids.size for part in batches[0].parts) > 64:
            raise MemoryError
        return real(run, batches)

    monkeypatch.setattr(Run, "_gradient", narrow)
    told = Recorder(tmp_path)
    small = trained(encoder, settings, data, tmp_path / "small", progress=told)
    assert any("Memory ran out" in message for _, _, message, _ in told.events)
    assert small.metrics["train_loss"] == pytest.approx(whole.metrics["train_loss"], rel=1e-5)


def test_a_resumed_run_ends_bit_for_bit_as_one_that_never_stopped(
    encoder: Path, tmp_path: Path
) -> None:
    data = write_jsonl(tmp_path / "t.jsonl", pairs())
    settings = spec(TASK, epochs=4, batch_size=4, max_length=96)
    whole = trained(encoder, settings, data, tmp_path / "whole")
    paused = Recorder(tmp_path, answer=lambda step: Command.PAUSE if step == 7 else Command.GO)
    assert trained(encoder, settings, data, tmp_path / "1", progress=paused).outcome == "paused"
    second = trained(encoder, settings, data, tmp_path / "2", resume=paused.snapshots[-1][1])
    assert whole.artifact
    assert second.artifact
    one = load_file(whole.artifact.path / "model.safetensors")
    other = load_file(second.artifact.path / "model.safetensors")
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_model_is_measured_and_too_long_texts_are_cut_where_asked(
    encoder: Path, tmp_path: Path
) -> None:
    data = write_jsonl(tmp_path / "t.jsonl", [*pairs(6), {"anchor": "no " * 200, "positive": "o"}])
    settings = EvaluateSpec(task=TASK, max_length=64)
    asked = EvaluateWork(handle(encoder), "e", settings, handle(data), tmp_path / "evaluation")
    measured = evaluate(asked, Recorder(tmp_path))
    assert measured.outcome is Outcome.SUCCEEDED, measured.error
    assert 0 < measured.metrics["mrr"] <= 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "the file has no usable lines"),
        (pairs(1), "one pair teaches nothing"),
        ([*pairs(3), ["a"]], "line 4, line: the line is no object"),
        ([*pairs(3), {"anchor": "a"}], "line 4, positive: the positive is missing or empty"),
        ([*pairs(3), {"anchor": " ", "positive": "b"}], "line 4, anchor: the anchor is missing"),
        ([*pairs(3), {"anchor": "a", "positive": 5}], "line 4, positive: the positive is missing"),
        (
            [*pairs(3), {"anchor": "a", "positive": "b", "negative": ""}],
            "line 4, negative: the negative is missing or empty",
        ),
        (
            [*pairs(3), {"anchor": "a", "positive": "b", "negative": "b"}],
            "line 4, negative: the negative is the positive itself",
        ),
        (
            [*pairs(3), {"anchor": "a", "positive": "no " * 200}],
            "line 4, positive: the text is",
        ),
    ],
)
def test_broken_data_are_refused_with_line_field_and_remedy(
    encoder: Path, tmp_path: Path, rows: list[Any], message: str
) -> None:
    data = write_jsonl(tmp_path / "t.jsonl", rows)
    result = trained(encoder, spec(TASK, max_length=96), data, tmp_path / "run")
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert message in str(result.error)


def test_what_an_encoder_cannot_do_is_refused(encoder: Path) -> None:
    for changes in (
        {"method": "lora"},
        {"length_policy": "split"},
        {"batch_size": 1},
        {"embeddings": {"temperature": 1e-40}},  # cosines beyond every float
        {"embeddings": {"scale": 20}},
    ):
        with pytest.raises(SpecError):
            Embeddings(encoder, spec(TASK, **changes))


def test_a_base_without_tokenizer_is_refused(encoder: Path, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "t.jsonl", pairs())
    bare = Path(shutil.copytree(encoder, tmp_path / "bare"))
    (bare / "tokenizer.json").unlink()
    result = trained(bare, spec(TASK), data, tmp_path / "run")
    assert "a model folder needs the fast tokenizer's file" in str(result.error)
