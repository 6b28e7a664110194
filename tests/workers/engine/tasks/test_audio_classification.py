"""Recordings to classes, against transformers' own; spoken digits against a plain baseline."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from tests.workers.engine.factories import Recorder, handle, write_jsonl
from tests.workers.engine.tasks.factories import spec, trained
from tests.workers.engine.tasks.media import data_url, folders_zip, listed_zip, url_rows
from tests.workers.engine.tasks.sounds import (
    DIGITS,
    DIGITS_SIZE,
    TONES_SIZE,
    sound,
    spoken,
    tone,
    tones,
)
from workers.engine.base.recordings import audio_base_build
from workers.engine.data.recordings import AudioFormat
from workers.engine.evaluation import evaluate
from workers.engine.inference.samples import SampleClassifier
from workers.engine.protocol import Command, EvaluateWork, FailureKind, Numerics, Outcome
from workers.engine.specs import EvaluateSpec, SpecError
from workers.engine.tasks.sample_classification import RECORDINGS, AudioClassification

TASK = "audio_classification"
TRAINED_VOICES = ("en+m1", "en+m3", "en+f1", "en+f3", "en-us+m2", "en-us+f2", "en-gb-scotland+m4")
OTHER_VOICES = ("en+m7", "en+f4", "en-us+m5")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return audio_base_build(tmp_path_factory.mktemp("bases") / "ast", TONES_SIZE)


@pytest.fixture(scope="module")
def artifact(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of tones, trained for real."""
    folder = tmp_path_factory.mktemp("tones")
    data = folders_zip(folder / "t.zip", tones(48), end="wav")
    result = trained(base, spec(TASK, epochs=8, learning_rate=3e-3), data, folder / "run")
    assert result.artifact, result.error
    return result.artifact.path


@pytest.mark.speech
def test_digits_are_understood_from_voices_that_it_never_heard(tmp_path: Path) -> None:
    # given ten digits by seven voices to learn from, and by three others to be asked
    heard = _digits(TRAINED_VOICES, ((150, 40), (175, 60), (130, 50), (190, 30)))
    others = _digits(OTHER_VOICES, ((150, 50), (180, 40)))
    base = audio_base_build(tmp_path / "ast", DIGITS_SIZE)
    settings = spec(
        TASK,
        epochs=20,
        learning_rate=2e-3,
        weight_decay=0.01,
        warmup_fraction=0.1,
        schedule="cosine",
        length_policy="truncate",
    )
    result = trained(
        base,
        settings,
        folders_zip(tmp_path / "t.zip", heard, end="wav"),
        tmp_path / "run",
        validation=folders_zip(tmp_path / "v.zip", others, end="wav"),
    )
    assert result.artifact, result.error

    # then it does better than a regression on how loud each pitch is in the mean
    form = AudioFormat.load(base)
    x, unheard = (
        np.stack([form.decode(content).values.mean(0) for _, content in files])
        for files in (heard, others)
    )
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    plain.fit(x, [label for label, _ in heard])
    by_pitch = plain.score(unheard, [label for label, _ in others])
    assert result.metrics["validation_accuracy"] > by_pitch + 0.1


def _digits(voices: tuple[str, ...], ways: tuple[tuple[int, int], ...]) -> list[tuple[str, bytes]]:
    return [
        (word, spoken(word, voice, speed=speed, pitch=pitch))
        for voice in voices
        for speed, pitch in ways
        for word in DIGITS
    ]


def test_transformers_loads_the_model_and_hears_the_same(artifact: Path) -> None:
    extractor = AutoFeatureExtractor.from_pretrained(artifact)
    model = AutoModelForAudioClassification.from_pretrained(artifact).eval()
    files = [
        content
        for label, content in tones(9, seed=5)
        if soundfile.info(io.BytesIO(content)).samplerate == 16_000
    ]
    assert len(files) > 1
    ours = SampleClassifier.load(RECORDINGS, artifact).predict(
        [data_url(content, "audio/wav") for content in files]
    )
    for content, found in zip(files, ours, strict=True):
        samples, _ = soundfile.read(io.BytesIO(content), always_2d=True)
        given = extractor(samples.mean(1), sampling_rate=16_000, return_tensors="pt")
        with torch.no_grad():
            shares = model(**given).logits[0].softmax(-1).tolist()
        expected = dict(zip(model.config.id2label.values(), shares, strict=True))
        assert found["probabilities"] == pytest.approx(expected, abs=1e-4)


def test_gradients_equal_transformers_one_by_one(base: Path, tmp_path: Path) -> None:
    data = folders_zip(tmp_path / "t.zip", tones(9), end="wav")
    task = AudioClassification(base, spec(TASK))
    read = task.read(data, tmp_path / "data", training=True)
    model: Any = task.model(Numerics()).requires_grad_(requires_grad=True)
    (batch,) = task.micro_batches(read, range(9), 100_000, packing=True)
    loss, _ = task.loss(model, batch, "cpu")
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}

    model.zero_grad()
    total = 0.0
    for index in range(9):
        heard = torch.tensor(task.form.normalised(read.values[index : index + 1]))
        one = model(input_values=heard, labels=torch.tensor([int(read.labels[index])])).loss
        one.backward()
        total += one.item()
    assert loss.item() == pytest.approx(total, rel=1e-5)
    for name, parameter in model.named_parameters():
        assert torch.allclose(found[name], parameter.grad, rtol=1e-3, atol=1e-5), name


def test_tones_that_it_never_heard_are_told_apart(artifact: Path, tmp_path: Path) -> None:
    data = folders_zip(tmp_path / "t.zip", tones(24, seed=1), end="wav")
    asked = EvaluateWork(
        handle(artifact), "e", EvaluateSpec(task=TASK), handle(data), tmp_path / "evaluation"
    )
    measured = evaluate(asked, Recorder(tmp_path))
    assert measured.metrics["accuracy"] > 0.9, measured.error
    assert measured.metrics["tokens"] == 24 * 4


def test_folders_metadata_and_data_urls_give_the_same_model(base: Path, tmp_path: Path) -> None:
    files, settings = tones(12), spec(TASK, epochs=1)
    made = [
        trained(base, settings, data, tmp_path / data.stem).artifact
        for data in (
            folders_zip(tmp_path / "one.zip", files, end="wav"),
            listed_zip(tmp_path / "other.zip", files, end="wav"),
            write_jsonl(tmp_path / "third.jsonl", url_rows(files, "audio/wav")),
        )
    ]
    assert len({each.sha256 for each in made if each}) == 1
    assert None not in made


def test_a_resumed_run_ends_bit_for_bit_as_one_that_never_stopped(
    base: Path, tmp_path: Path
) -> None:
    data = folders_zip(tmp_path / "t.zip", tones(), end="wav")
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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RIFF, or so it says", "line 7, data/low/6.wav: it is no recording that is known"),
        (sound(tone(300, 1.0)), "line 7, data/low/6.wav: it is 14 patches long, the model takes 4"),
        (sound(np.zeros(80)), "line 7, data/low/6.wav: the recording is too short"),
    ],
)
def test_what_is_wrong_with_recordings_is_the_customers_and_says_where(
    base: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    data = folders_zip(tmp_path / "t.zip", [*tones(6), ("low", content)], end="wav")
    result = trained(base, spec(TASK), data, tmp_path / "run")
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert message in str(result.error)


def test_a_longer_recording_is_cut_where_asked_and_that_is_told(base: Path, tmp_path: Path) -> None:
    files = [*tones(6), ("low", sound(tone(300, 1.0)))]
    data = folders_zip(tmp_path / "t.zip", files, end="wav")
    told = Recorder(tmp_path)
    settings = spec(TASK, epochs=1, length_policy="truncate")
    result = trained(base, settings, data, tmp_path / "run", progress=told)
    assert result.outcome is Outcome.SUCCEEDED, result.error
    (sizes,) = [each for *_, each in told.events if "cut_tokens" in each]
    assert (sizes["examples"], sizes["tokens"], sizes["cut_tokens"]) == (7, 28, 10)


def test_what_it_cannot_do_is_refused(base: Path, bases: dict[str, Path], tmp_path: Path) -> None:
    for changes in ({"method": "lora"}, {"length_policy": "split"}):
        with pytest.raises(SpecError):
            AudioClassification(base, spec(TASK, **changes))
    data = folders_zip(tmp_path / "t.zip", tones(), end="wav")
    result = trained(bases["llama"], spec(TASK), data, tmp_path / "run")
    assert "is no model of recordings" in str(result.error)


def test_an_exploding_loss_is_the_customers(base: Path, tmp_path: Path) -> None:
    settings = spec(TASK, optimiser="sgd", learning_rate=100.0, gradient_clip=0.0, epochs=30)
    data = folders_zip(tmp_path / "t.zip", tones(), end="wav")
    result = trained(base, settings, data, tmp_path / "run")
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert "ower learning_rate" in str(result.error)


def test_a_class_with_one_recording_is_refused(base: Path, tmp_path: Path) -> None:
    data = folders_zip(tmp_path / "t.zip", tones(4), end="wav")
    result = trained(base, spec(TASK), data, tmp_path / "run")
    assert "label: the class 'high' has one example only" in str(result.error)
