"""Predictions for tables, texts, images and recordings: HTTP, a replica's process, the books."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from tenants.kernel.scope import tenant_scope
from tenants.usage.models import UsageEvent
from tests.workers.engine.factories import write_jsonl
from tests.workers.engine.tasks.factories import Split, spec, table_split, trained
from tests.workers.engine.tasks.media import COLOUR_SIZE, colours, data_url, folders_zip
from tests.workers.engine.tasks.sounds import TONES_SIZE, sound, tone, tones
from tests.workers.serving.conftest import started
from tests.workers.serving.factories import (
    Customer,
    _register,
    copied,
    customer,
    text_base,
    version_of,
)
from tests.workers.serving.offers import on_offer
from tests.workers.serving.replicas import ReplicaProcess, claimed
from workers.assets.models import ModelVersion
from workers.engine.base.images import image_base_build
from workers.engine.base.recordings import audio_base_build
from workers.engine.base.tables import tabular_base_build
from workers.engine.data.tokens import Tokenizer
from workers.engine.inference.tables import TableModel
from workers.serving.replicas import Serving
from workers.serving.services import deployment_create

pytestmark = pytest.mark.django_db

BASE = "tabular-mlp"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def wine(folder: Path) -> Split:
    return table_split("wine", folder / "data")


@pytest.fixture(scope="module")
def artifact(folder: Path, wine: Split) -> Path:
    base = tabular_base_build(folder / BASE)
    made = trained(base, spec("tabular", epochs=5, learning_rate=0.01), wine.train, folder / "run")
    assert made.artifact, made.error
    return made.artifact.path


@pytest.fixture(scope="module")
def process(artifact: Path, folder: Path) -> Iterator[ReplicaProcess]:
    running = started(artifact, folder / "scratch", "tabular")
    yield running
    running.kill()


@pytest.fixture
def acme(
    db: None, folder: Path, artifact: Path, process: ReplicaProcess, tmp_path: Path
) -> Iterator[tuple[Customer, str]]:
    """A customer whose model of wines is on offer, with a replica that answers; and its name."""
    owner = customer()
    base = _register(folder / BASE, BASE, "tabular")
    own = copied(artifact, tmp_path / "own")
    version = version_of(owner, base, own, kind=ModelVersion.Kind.FULL)
    with tenant_scope(owner.tenant_id):
        deployment_create(actor=owner.actor, model=version.name)
    process.wait()
    parent = claimed(Serving(version.id, BASE, version.id), tmp_path / "scratch")
    with process.entered(parent):
        yield owner, version.name


def asked(web: str, owner: Customer, **body: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {owner.key}"}
    return httpx.post(f"{web}/v1/predictions", json=body, headers=headers, timeout=60)


def test_predictions_are_the_models_own_and_counted_by_cell(
    acme: tuple[Customer, str], artifact: Path, wine: Split, web: str
) -> None:
    owner, name = acme
    columns = [column.name for column in TableModel.load(artifact).schema.columns]
    rows = [dict(zip(columns, row, strict=True)) for row in wine.x_held_out.tolist()]
    answer = asked(web, owner, model=name, inputs=rows).json()

    # most wines that it never saw are told apart, as their probabilities say
    assert [each["index"] for each in answer["data"]] == list(range(len(rows)))
    hits = [
        each["prediction"] == f"class_{wanted}"
        for each, wanted in zip(answer["data"], wine.y_held_out, strict=True)
    ]
    assert sum(hits) / len(hits) > 0.9
    for each in answer["data"]:
        assert sum(each["probabilities"].values()) == pytest.approx(1)
        assert each["prediction"] == max(each["probabilities"], key=each["probabilities"].get)

    cells = len(rows) * 13
    assert answer["usage"] == {"prompt_tokens": cells, "total_tokens": cells}
    with tenant_scope(owner.tenant_id):
        used = dict(UsageEvent.objects.values_list("meter", "quantity"))
    assert used == {"requests": 1, "tokens.input": cells}


def test_a_text_is_told_by_its_class_and_counted_by_token(
    db: None, tiny: Path, web: str, tmp_path: Path
) -> None:
    # given a small classifier, called over HTTP
    rows = [{"text": f"{n} {word}", "label": word} for n in range(12) for word in ("red", "blue")]
    settings = spec("text_classification", max_length=96, epochs=6, learning_rate=3e-3)
    data = write_jsonl(tmp_path / "t.jsonl", rows)
    made = trained(tiny, settings, data, tmp_path / "run")
    assert made.artifact, made.error
    owner = customer()
    with on_offer(owner, text_base(tiny), made.artifact.path, settings, tmp_path) as name:
        answer = asked(web, owner, model=name, inputs=["99 red", "98 blue"]).json()
        wrong = asked(web, owner, model=name, inputs=[{"a": 1}])

    # then the answers are transformers' own, and the tokens the tokenizer's
    model = AutoModelForSequenceClassification.from_pretrained(made.artifact.path).eval()
    tokenizer = Tokenizer.load(tiny)
    tokens = 0
    for text, each in zip(("99 red", "98 blue"), answer["data"], strict=True):
        ids = tokenizer.encode_whole(text)
        tokens += len(ids)
        with torch.no_grad():
            shares = model(input_ids=torch.tensor([ids])).logits[0].softmax(-1).tolist()
        expected = dict(zip(model.config.id2label.values(), shares, strict=True))
        assert each["probabilities"] == pytest.approx(expected, abs=1e-5)
        assert each["prediction"] == max(expected, key=expected.__getitem__)
    assert answer["usage"]["prompt_tokens"] == tokens
    assert wrong.status_code == 400
    assert "takes texts" in wrong.text


def test_an_image_is_told_by_its_class_and_counted_by_patch(
    db: None, web: str, tmp_path: Path
) -> None:
    # given a model of colours, trained from nothing
    folder = image_base_build(tmp_path / "vit", COLOUR_SIZE)
    settings = spec("image_classification", epochs=8, learning_rate=3e-3, batch_size=8)
    made = trained(folder, settings, folders_zip(tmp_path / "t.zip", colours(48)), tmp_path / "run")
    assert made.artifact, made.error
    owner = customer()
    base = _register(folder, "vit", "image")
    files = colours(6, seed=3)
    urls = [data_url(content) for _, content in files]
    with on_offer(owner, base, made.artifact.path, settings, tmp_path) as name:
        answer = asked(web, owner, model=name, inputs=urls).json()
        refused = [
            asked(web, owner, model=name, inputs=[given]).json()["error"]
            for given in ("red.png", {"a": 1}, "data:image/png;base64,AAAA")
        ]
        blank = asked(web, owner, model="vit", inputs=urls).json()["error"]

    # then images that it never saw are told apart, and only good ones are charged
    assert [each["prediction"] for each in answer["data"]] == [label for label, _ in files]
    assert answer["usage"]["prompt_tokens"] == 6 * 4
    assert "takes images as data URLs" in refused[0]["message"]
    assert "takes images as data URLs" in refused[1]["message"]
    assert "input 0: it is no image that is known" in refused[2]["message"]
    assert "has learned from no data yet" in blank["message"]
    with tenant_scope(owner.tenant_id):
        used = dict(UsageEvent.objects.values_list("meter", "quantity"))
    assert used == {"requests": 1, "tokens.input": 6 * 4}


def test_a_recording_is_told_by_its_class_and_counted_by_patch(
    db: None, web: str, tmp_path: Path
) -> None:
    folder = audio_base_build(tmp_path / "ast", TONES_SIZE)
    settings = spec("audio_classification", epochs=8, learning_rate=3e-3)
    data = folders_zip(tmp_path / "t.zip", tones(48), end="wav")
    made = trained(folder, settings, data, tmp_path / "run")
    assert made.artifact, made.error
    owner = customer()
    base = _register(folder, "ast", "audio")
    files = tones(6, seed=3)
    urls = [data_url(content, "audio/wav") for _, content in files]
    long = data_url(sound(tone(300, 1.0)), "audio/wav")
    with on_offer(owner, base, made.artifact.path, settings, tmp_path) as name:
        answer = asked(web, owner, model=name, inputs=urls).json()
        refused = asked(web, owner, model=name, inputs=[long]).json()["error"]
        image = asked(web, owner, model=name, inputs=[data_url(b"x")]).json()["error"]

    assert [each["prediction"] for each in answer["data"]] == [label for label, _ in files]
    assert answer["usage"]["prompt_tokens"] == 6 * 4
    assert "input 0 is longer than the model takes" in refused["message"]
    assert "takes recordings as data URLs" in image["message"]
    with tenant_scope(owner.tenant_id):
        used = dict(UsageEvent.objects.values_list("meter", "quantity"))
    assert used == {"requests": 1, "tokens.input": 6 * 4}


def test_bad_input_is_refused_and_costs_nothing(acme: tuple[Customer, str], web: str) -> None:
    owner, name = acme
    for body, words in (
        ({"model": name, "inputs": []}, "inputs"),
        ({"model": name, "inputs": [{}]}, "inputs"),
        (
            {"model": name, "inputs": [{"alcohol": 13.0}]},
            "line 1, malic_acid: the column is missing",
        ),
        ({"model": name, "inputs": ["a text"]}, "takes objects"),
        ({"model": BASE, "inputs": [{"alcohol": 13.0}]}, "has learned from no data yet"),
    ):
        answer = asked(web, owner, **body)
        assert answer.status_code == 400, answer.text
        assert words in str(answer.json()["error"])
    with tenant_scope(owner.tenant_id):
        assert not UsageEvent.objects.exists()
