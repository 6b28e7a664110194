"""Classifiers, encoders and tables: cut, recovered, rounded, searched for, loaded and asked."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer as CoreTokenizer
from transformers import (
    AutoModelForAudioClassification,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    BertModel,
)

from tests.workers.engine.compression.kinds import KINDS, Trained, made, texts_on, work_of
from tests.workers.engine.factories import Recorder, base_folder, write_jsonl
from tests.workers.engine.tasks.texts import translation_pairs
from workers.assets.local_bases import embedding_model_folder
from workers.engine.compression.compress import compress
from workers.engine.compression.quality import quality_lost, quality_of
from workers.engine.compression.quantise.formats import FORMS
from workers.engine.compression.report import report_read
from workers.engine.compression.subjects import subject_open
from workers.engine.inference.embed import EmbeddingModel
from workers.engine.protocol import Command, FailureKind, Numerics, Outcome

AUTO: dict[str, Any] = {
    "images": AutoModelForImageClassification,
    "recordings": AutoModelForAudioClassification,
    "texts": AutoModelForSequenceClassification,
}
METRIC = {
    "images": "accuracy",
    "recordings": "accuracy",
    "texts": "accuracy",
    "vectors": "mrr",
    "quantity": "mse",
    "classes": "accuracy",
}
# How far outputs and layers may be off: rounding to nearest at so many bits, through all layers.
NEAR = {"int8": (0.05, 0.02), "float8": (0.1, 0.04), "int4": (0.4, 0.16)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    return {kind: make(tmp_path_factory.mktemp(kind)) for kind, make in KINDS.items()}


def outputs(given: Trained, folder: Path, scratch: Path) -> torch.Tensor:
    """What a model's folder gives for all rows, one batch after another."""
    spec = work_of(given, scratch, prune={"mlp": 0.5}).spec
    subject = subject_open(folder, spec)
    task = subject.task
    data = task.read(given.data, scratch / "read", training=False)
    model = task.model(Numerics())
    with torch.no_grad():
        batches = task.micro_batches(data, range(len(data)), 512, packing=True)
        return torch.cat([task.outputs(model, batch, "cpu") for batch in batches])


@pytest.mark.parametrize("kind", KINDS)
def test_half_of_its_channels_go_and_recovery_helps(
    kind: str, models: dict[str, Trained], tmp_path: Path
) -> None:
    given = models[kind]
    recover = {"tokens": 12_000, "batch_size": 16, "learning_rate": 3e-3, "labels": 0.5}
    progress = Recorder(tmp_path)
    folder, figures = made(given, tmp_path / "a", progress, prune={"mlp": 0.5}, recover=recover)
    assert quality_of(figures).metric == METRIC[kind]
    assert figures["parameters"] < figures["dense_parameters"]
    assert figures["bytes"] < figures["dense_bytes"]
    steps = [beat[1] for beat in progress.beats]
    assert steps == list(range(1, len(steps) + 1))
    assert {beat[2] for beat in progress.beats} == {steps[-1]}  # the plan was right
    _, without = made(given, tmp_path / "b", prune={"mlp": 0.5, "scorer": "random"})
    assert quality_lost(figures) <= max(quality_lost(without), 0.0)
    assert outputs(given, folder, tmp_path / "c").isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_never_mattered_is_cut_without_a_trace(
    kind: str, models: dict[str, Trained], tmp_path: Path
) -> None:
    given = models[kind]
    silent = _silenced(given, tmp_path / "silent")
    spec = {"mlp": 0.4, "scorer": "magnitude" if kind in ("quantity", "classes") else "wanda"}
    folder, figures = made(silent, tmp_path / "a", prune={**spec, "ridge": 1e-6})
    expected = outputs(silent, silent.folder, tmp_path / "b")
    found = outputs(silent, folder, tmp_path / "c")
    assert (expected - outputs(given, given.folder, tmp_path / "d")).abs().max() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert figures["parameters"] < figures["dense_parameters"]


def _silenced(given: Trained, into: Path) -> Trained:
    """The model with every other MLP channel at zero on both of its sides."""
    into.mkdir(parents=True)
    for path in given.folder.iterdir():
        if path.is_file():
            (into / path.name).write_bytes(path.read_bytes())
    tensors = load_file(given.folder / "model.safetensors")
    if given.task == "tabular":
        names = sorted(n.removesuffix(".weight") for n in tensors if n.endswith(".weight"))
        pairs = list(pairwise(names))
    else:
        ends = (("fc1", "fc2"), ("intermediate.dense", "output.dense"))
        pairs = [
            (name.removesuffix(".weight"), name.replace(first, second).removesuffix(".weight"))
            for name in tensors
            for first, second in ends
            if name.endswith(f"{first}.weight")
        ]
    assert pairs
    for writer, reader in pairs:
        count = len(tensors[f"{writer}.bias"])
        gone = list(range(1, count, 2)) if count > 3 else [1]
        tensors[f"{writer}.weight"][gone] = 0
        tensors[f"{writer}.bias"][gone] = 0
        tensors[f"{reader}.weight"][:, gone] = 0
    save_file(tensors, into / "model.safetensors", metadata={"format": "pt"})
    return replace(given, folder=into)


@pytest.mark.parametrize("rounded", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_rounded_is_near_and_is_loaded_again(
    kind: str, rounded: str, models: dict[str, Trained], tmp_path: Path
) -> None:
    given = models[kind]
    folder, figures = made(given, tmp_path / "a", quantise=rounded)
    expected = outputs(given, given.folder, tmp_path / "b")
    found = outputs(given, folder, tmp_path / "c")
    assert not torch.equal(found, expected)
    near, most = NEAR[rounded.partition("_")[0]]
    assert (found - expected).norm() < near * expected.norm()
    assert figures["parameters"] == figures["dense_parameters"]
    errors = report_read(folder)["quantisation_errors"]
    assert errors
    assert all(0 < error < most for error in errors.values())


@pytest.mark.parametrize("kind", AUTO)
def test_transformers_loads_a_cut_classifier_and_answers_the_same(
    kind: str, models: dict[str, Trained], tmp_path: Path
) -> None:
    given = models[kind]
    heads = {} if kind == "texts" else {"heads": 0.5}  # BERT's follow its width
    folder, _ = made(given, tmp_path / "a", prune={"mlp": 0.5, "layers": 1, **heads})
    loaded, told = AUTO[kind].from_pretrained(folder, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    spec = work_of(given, tmp_path / "b", prune={"mlp": 0.5}).spec
    task = subject_open(folder, spec).task
    data = task.read(given.data, tmp_path / "read", training=False)
    with torch.no_grad():
        for batch in task.micro_batches(data, range(8), 1 << 20, packing=True):
            expected = task.outputs(task.model(Numerics()), batch, "cpu")
            torch.testing.assert_close(task.outputs(loaded.eval(), batch, "cpu"), expected)


def test_a_classifier_on_a_decoder_is_solved_over_padded_texts(tmp_path: Path) -> None:
    given = texts_on(base_folder(tmp_path / "llama"), tmp_path)
    folder, figures = made(given, tmp_path / "a", prune={"mlp": 0.5, "heads": 0.5})
    assert figures["parameters"] < figures["dense_parameters"]
    assert quality_lost(figures) < 0.1
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.config.num_key_value_heads == 1


def test_transformers_loads_a_cut_encoder_and_gives_the_same_vectors(
    models: dict[str, Trained], tmp_path: Path
) -> None:
    folder, _ = made(models["vectors"], tmp_path, prune={"mlp": 0.5, "layers": 1})
    bert = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    tokenizer = CoreTokenizer.from_file(str(folder / "tokenizer.json"))
    ours, _ = EmbeddingModel.load(folder).embed(["3 blue", "green and red"])
    for text, vector in zip(("3 blue", "green and red"), ours, strict=True):
        with torch.no_grad():
            hidden = bert(input_ids=torch.tensor([tokenizer.encode(text).ids])).last_hidden_state
        expected = torch.nn.functional.normalize(hidden[0].mean(0), dim=0)
        torch.testing.assert_close(torch.tensor(vector), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_sentence_transformers_loads_a_cut_minilm(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "pairs.jsonl", translation_pairs("de")[:160])
    given = Trained("embeddings", embedding_model_folder(), data)
    folder, figures = made(
        given, tmp_path / "made", prune={"mlp": 0.25}, max_length=64, calibration_examples=96
    )
    assert quality_lost(figures) < 0.1  # of the mean reciprocal rank, without any recovery
    texts = ["Save and continue editing", "Delete selected entries"]
    reference = SentenceTransformer(str(folder), device="cpu")
    ours, _ = EmbeddingModel.load(folder).embed(texts)
    theirs = torch.tensor(reference.encode(texts))
    torch.testing.assert_close(torch.tensor(ours), theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["images", "vectors", "quantity"])
def test_a_search_is_judged_by_the_tasks_own_measure(
    kind: str, models: dict[str, Trained], tmp_path: Path
) -> None:
    given = models[kind]
    # a table's file is mostly its header: there the cheapest within the bound is asked for
    bytes_left = 0.0 if kind == "quantity" else 0.9
    target = {"bytes": bytes_left, "quality_loss": 0.5, "finalists": 1, "ratios": [0.0, 0.4]}
    recover = {"tokens": 6_000, "learning_rate": 3e-3}
    folder, figures = made(given, tmp_path, target=target, recover=recover)
    search = report_read(folder)["search"]
    assert search["metric"] == METRIC[kind]
    assert search["reached"], search["limit"]
    assert search["recommended"]["quality_loss"] == pytest.approx(quality_lost(figures))
    assert not bytes_left or figures["bytes"] <= bytes_left * figures["dense_bytes"]


@pytest.mark.parametrize("kind", ["texts", "classes"])
def test_a_killed_recovery_goes_on_to_the_same_model(
    kind: str, models: dict[str, Trained], tmp_path: Path
) -> None:
    given = models[kind]
    settings: dict[str, Any] = {
        "prune": {"mlp": 0.5},
        "recover": {"tokens": 5_000, "batch_size": 8},
        "snapshot_every_steps": 3,
    }
    whole = Recorder(tmp_path)
    folder, _ = made(given, tmp_path / "whole", whole, **settings)
    at, snapshot = whole.snapshots[1]
    work = replace(work_of(given, tmp_path / "part", **settings), resume=snapshot)
    second = Recorder(tmp_path)
    result = compress(work, second)
    assert result.artifact, result.error
    assert second.beats[0][1] == at + 1
    one = load_file(folder / "model.safetensors")
    other = load_file(result.artifact.path / "model.safetensors")
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_pausing_stops_where_a_snapshot_stands(models: dict[str, Trained], tmp_path: Path) -> None:
    progress = Recorder(tmp_path, answer=lambda step: Command.PAUSE if step == 9 else Command.GO)
    recover = {"tokens": 5_000, "batch_size": 4}
    work = work_of(models["images"], tmp_path, prune={"mlp": 0.5}, recover=recover)
    assert compress(work, progress).outcome is Outcome.PAUSED
    assert progress.snapshots[-1][0] == 9


@pytest.mark.parametrize(
    ("kind", "settings", "says"),
    [
        ("quantity", {"prune": {"heads": 0.5}}, "a table's model has none to remove"),
        ("quantity", {"prune": {"mlp": 0.9}}, "the layer would vanish"),
        ("classes", {"prune": {"layers": 1}}, "a table's model has none to remove"),
        ("texts", {"prune": {"heads": 0.5}}, "takes its heads' size from the hidden size"),
        (
            "vectors",
            {"prune": {"mlp": 0.5}, "recover": {"tokens": 99, "hidden": 1.0}},
            "no layers of embeddings models are compared",
        ),
        (
            "images",
            {"prune": {"mlp": 0.5}, "calibration_examples": 1},
            "least squares over 64 inputs needs at least as many tokens",
        ),
    ],
)
def test_what_a_kind_cannot_do_is_the_customers(
    kind: str, settings: Any, says: str, models: dict[str, Trained], tmp_path: Path
) -> None:
    result = compress(work_of(models[kind], tmp_path, **settings), Recorder(tmp_path))
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert says in str(result.error)
