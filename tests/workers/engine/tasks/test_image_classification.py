"""Images to classes, on hand-written digits, against transformers' own and a plain baseline."""

from __future__ import annotations

import io
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from transformers import AutoModelForImageClassification
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from tests.workers.engine.factories import Recorder, handle, write_jsonl
from tests.workers.engine.tasks.factories import spec, trained
from tests.workers.engine.tasks.media import (
    COLOUR_SIZE,
    DIGITS_SIZE,
    colours,
    data_url,
    digits,
    folders_zip,
    listed_zip,
    named,
    png,
    url_rows,
)
from workers.engine.base.blank import blank_base_build
from workers.engine.base.images import image_base_build
from workers.engine.evaluation import evaluate
from workers.engine.inference.samples import SampleClassifier
from workers.engine.protocol import Command, EvaluateWork, FailureKind, Numerics, Outcome
from workers.engine.specs import EvaluateSpec, SpecError
from workers.engine.tasks.sample_classification import IMAGES, ImageClassification

TASK = "image_classification"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_base_build(tmp_path_factory.mktemp("bases") / "vit", COLOUR_SIZE)


@pytest.fixture(scope="module")
def convnext(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another family: convolutions all the way."""
    config = {
        "model_type": "convnext",
        "image_size": COLOUR_SIZE.image,
        "patch_size": 4,
        "num_channels": COLOUR_SIZE.channels,
        "num_stages": 2,
        "hidden_sizes": [16, 32],
        "depths": [1, 2],
        "layer_scale_init_value": 1.0,
    }
    preprocessor = json.loads((base / "preprocessor_config.json").read_text())
    files = {"config.json": config, "preprocessor_config.json": preprocessor}
    return blank_base_build(tmp_path_factory.mktemp("bases") / "convnext", files)


@pytest.fixture(scope="module")
def artifact(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of colours, trained for real."""
    folder = tmp_path_factory.mktemp("colours")
    data = folders_zip(folder / "t.zip", colours(48))
    settings = spec(TASK, epochs=6, learning_rate=3e-3)
    result = trained(base, settings, data, folder / "run")
    assert result.artifact, result.error
    return result.artifact.path


@pytest.mark.slow
def test_a_transformer_from_nothing_learns_to_read_digits(tmp_path: Path) -> None:
    """The mean of five seeds: one alone is a few images up or down."""
    data = digits()
    base = image_base_build(tmp_path / "vit", DIGITS_SIZE)
    training = folders_zip(tmp_path / "t.zip", named(data.x, data.y))
    validation = folders_zip(tmp_path / "v.zip", named(data.x_held_out, data.y_held_out))
    reached = []
    for seed in range(5):
        settings = spec(
            TASK,
            epochs=40,
            learning_rate=3e-3,
            weight_decay=0.01,
            batch_size=32,
            warmup_fraction=0.1,
            schedule="cosine",
            seed=seed,
        )
        result = trained(base, settings, training, tmp_path / f"{seed}", validation=validation)
        assert result.metrics["initial_validation_accuracy"] < 0.3
        reached.append(result.metrics["validation_accuracy"])
    plain = LogisticRegression(max_iter=2000).fit(data.x.reshape(-1, 64) / 255, data.y)
    by_pixels = plain.score(data.x_held_out.reshape(-1, 64) / 255, data.y_held_out)
    assert statistics.mean(reached) > by_pixels


def test_transformers_loads_the_model_and_reads_images_the_same(artifact: Path) -> None:
    # given images of other sizes and kinds than it was trained on
    processor = ViTImageProcessorPil.from_pretrained(artifact)
    model = AutoModelForImageClassification.from_pretrained(artifact).eval()
    draws = np.random.default_rng(1)
    files = [
        png(draws.integers(0, 255, (31, 9, 3), dtype=np.uint8)),
        png(draws.integers(0, 255, (40, 40), dtype=np.uint8), "JPEG"),
        colours(3, seed=7)[2][1],
    ]
    # then its own processor and model answer as ours
    ours = SampleClassifier.load(IMAGES, artifact).predict([data_url(each) for each in files])
    for content, found in zip(files, ours, strict=True):
        image = Image.open(io.BytesIO(content)).convert("RGB")
        with torch.no_grad():
            given = processor(images=image, return_tensors="pt")
            shares = model(**given).logits[0].softmax(-1).tolist()
        expected = dict(zip(model.config.id2label.values(), shares, strict=True))
        assert found["probabilities"] == pytest.approx(expected, abs=1e-5)
        assert found["prediction"] == max(expected, key=expected.__getitem__)


@pytest.mark.parametrize("family", ["base", "convnext"])
def test_gradients_equal_transformers_one_by_one(
    family: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    base = request.getfixturevalue(family)
    data = folders_zip(tmp_path / "t.zip", colours(9))
    task = ImageClassification(base, spec(TASK))
    read = task.read(data, tmp_path / "data", training=True)
    model: Any = task.model(Numerics()).requires_grad_(requires_grad=True)
    (batch,) = task.micro_batches(read, range(9), 100_000, packing=True)
    loss, _ = task.loss(model, batch, "cpu")
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}

    model.zero_grad()
    total = 0.0
    for index in range(9):
        pixels = torch.tensor(task.form.normalised(read.values[index : index + 1]))
        one = model(pixel_values=pixels, labels=torch.tensor([int(read.labels[index])])).loss
        one.backward()
        total += one.item()
    assert loss.item() == pytest.approx(total, rel=1e-5)
    for name, parameter in model.named_parameters():
        assert torch.allclose(found[name], parameter.grad, rtol=1e-3, atol=1e-5), name


def test_a_network_of_convolutions_learns_colours_too(convnext: Path, tmp_path: Path) -> None:
    data = folders_zip(tmp_path / "t.zip", colours(48))
    settings = spec(TASK, epochs=6, learning_rate=3e-3)
    result = trained(convnext, settings, data, tmp_path / "run", validation=data)
    assert result.artifact, result.error
    assert result.metrics["validation_accuracy"] > 0.9
    model = AutoModelForImageClassification.from_pretrained(result.artifact.path)
    assert type(model).__name__ == "ConvNextForImageClassification"


def test_folders_metadata_and_data_urls_give_the_same_model(base: Path, tmp_path: Path) -> None:
    files, settings = colours(12), spec(TASK, epochs=1)
    made = [
        trained(base, settings, data, tmp_path / data.stem).artifact
        for data in (
            folders_zip(tmp_path / "one.zip", files),
            listed_zip(tmp_path / "other.zip", files),
            write_jsonl(tmp_path / "third.jsonl", url_rows(files)),
        )
    ]
    assert len({each.sha256 for each in made if each}) == 1
    assert None not in made


def test_a_resumed_run_ends_bit_for_bit_as_one_that_never_stopped(
    base: Path, tmp_path: Path
) -> None:
    data = folders_zip(tmp_path / "t.zip", colours())
    settings = spec(TASK, epochs=4, batch_size=4)
    whole = trained(base, settings, data, tmp_path / "whole")
    paused = Recorder(tmp_path, answer=lambda step: Command.PAUSE if step == 7 else Command.GO)
    assert trained(base, settings, data, tmp_path / "1", progress=paused).outcome == "paused"
    second = trained(base, settings, data, tmp_path / "2", resume=paused.snapshots[-1][1])
    assert whole.artifact
    assert second.artifact
    one = load_file(whole.artifact.path / "model.safetensors")
    other = load_file(second.artifact.path / "model.safetensors")
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_trained_model_goes_on_and_is_measured(artifact: Path, tmp_path: Path) -> None:
    data = folders_zip(tmp_path / "t.zip", colours(24, seed=1))
    asked = EvaluateWork(
        handle(artifact), "e", EvaluateSpec(task=TASK), handle(data), tmp_path / "evaluation"
    )
    measured = evaluate(asked, Recorder(tmp_path))
    assert measured.metrics["accuracy"] > 0.9, measured.error
    assert measured.metrics["tokens"] == 24 * 4  # patches

    result = trained(artifact, spec(TASK, epochs=1), data, tmp_path / "on", validation=data)
    assert result.metrics["initial_validation_loss"] == pytest.approx(measured.metrics["loss"])


def test_held_out_images_must_be_of_known_classes(base: Path, tmp_path: Path) -> None:
    data = folders_zip(tmp_path / "t.zip", colours())
    other = folders_zip(tmp_path / "v.zip", [("black", colours(1)[0][1])])
    result = trained(base, spec(TASK), data, tmp_path / "run", validation=other)
    assert "in the validation file" in str(result.error)
    assert "line 1, label: 'black' is no class of the training data" in str(result.error)


def test_what_is_wrong_with_images_is_the_customers_and_says_where(
    base: Path, tmp_path: Path
) -> None:
    files = [*colours(6), ("red", colours(1)[0][1][:200])]
    result = trained(base, spec(TASK), folders_zip(tmp_path / "t.zip", files), tmp_path / "run")
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert "line 7, data/red/6.png: the image is damaged" in str(result.error)


def test_an_exploding_loss_is_the_customers(base: Path, tmp_path: Path) -> None:
    settings = spec(TASK, optimiser="sgd", learning_rate=100.0, gradient_clip=0.0, epochs=30)
    data = folders_zip(tmp_path / "t.zip", colours())
    result = trained(base, settings, data, tmp_path / "run")
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert "ower learning_rate" in str(result.error)


def test_what_it_cannot_do_is_refused(base: Path, bases: dict[str, Path], tmp_path: Path) -> None:
    for changes in ({"method": "lora"}, {"length_policy": "split"}):
        with pytest.raises(SpecError):
            ImageClassification(base, spec(TASK, **changes))
    data = folders_zip(tmp_path / "t.zip", colours())
    result = trained(bases["llama"], spec(TASK), data, tmp_path / "run")
    assert "is no vision transformer" in str(result.error)
