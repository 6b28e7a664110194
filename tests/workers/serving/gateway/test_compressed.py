"""Compressed models over HTTP: small classifiers predict, carried adapters write on their base."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageClassification

from tenants.kernel.errors import NotFound
from tests.workers.engine.compression.kinds import KINDS, made
from tests.workers.engine.factories import Recorder, completions, handle, write_jsonl
from tests.workers.engine.tasks.factories import spec
from tests.workers.engine.tasks.media import colours, data_url
from tests.workers.serving.conftest import started
from tests.workers.serving.factories import (
    _register,
    adapter_folder,
    copied,
    customer,
    text_base,
    version_of,
)
from tests.workers.serving.gateway.directly import prompt_ids, written
from tests.workers.serving.gateway.test_predictions import asked
from tests.workers.serving.offers import on_offer
from tests.workers.serving.replicas import ReplicaProcess, claimed
from workers.assets.models import ModelVersion
from workers.engine.compression.compress import compress
from workers.engine.compression.specs import CompressSpec
from workers.engine.data.images import ImageFormat
from workers.engine.inference.samples import SampleClassifier
from workers.engine.protocol import CompressWork
from workers.engine.tasks.sample_classification import IMAGES
from workers.serving.replicas import Serving, adapter_open

pytestmark = pytest.mark.django_db

HELLO: list[Any] = [{"role": "user", "content": "Tell me of lists."}]
HALF = {"mlp": 0.5, "heads": 0.5}


@pytest.mark.parametrize("rounded", ["none", "int8_dynamic", "float8_weight"])
def test_a_smaller_classifier_answers_predictions(
    rounded: str, db: None, web: str, tmp_path: Path
) -> None:
    (tmp_path / "made").mkdir()
    given = KINDS["images"](tmp_path / "made")
    folder, _ = made(given, tmp_path / "small", prune=HALF, quantise=rounded)
    files = colours(4, seed=3)
    urls = [data_url(content) for _, content in files]
    expected = SampleClassifier.load(IMAGES, folder).predict(urls)
    owner, base = customer(), _register(tmp_path / "made" / "vit", "vit", "image")
    settings = spec("image_classification")
    with on_offer(owner, base, folder, settings, tmp_path) as name:
        answer = asked(web, owner, model=name, inputs=urls).json()
    for found, wanted in zip(answer["data"], expected, strict=True):
        assert found["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-6)
    if rounded == "none":  # then transformers says the same of the very file
        model = AutoModelForImageClassification.from_pretrained(folder).eval()
        form = ImageFormat.load(folder)
        values = form.decode(files[0][1]).values[None]
        with torch.no_grad():
            logits = model(pixel_values=torch.from_numpy(form.normalised(values))).logits
        shares = dict(
            zip(model.config.id2label.values(), logits[0].softmax(-1).tolist(), strict=True)
        )
        assert answer["data"][0]["probabilities"] == pytest.approx(shares, abs=1e-5)


@pytest.fixture(scope="module", params=["none", "int8_dynamic", "int4_weight"])
def small(request: Any, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """`tiny` compressed, and an adapter of it that was carried over."""
    root = tmp_path_factory.mktemp("small")
    adapter = adapter_folder(tiny, root / "adapter", seed=1)
    data = write_jsonl(root / "rows.jsonl", completions(40))
    settings = CompressSpec.from_dict({"prune": HALF, "quantise": request.param, "max_length": 64})
    work = CompressWork(
        handle(tiny), "j", settings, handle(data), root / "scratch", adapters=(handle(adapter),)
    )
    result = compress(work, Recorder(root))
    assert result.artifact, result.error
    folder = result.artifact.path
    (folder / "adapters" / "0").rename(root / "carried")
    return folder, root / "carried"


@pytest.fixture(scope="module")
def process(
    small: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReplicaProcess]:
    running = started(small[0], tmp_path_factory.mktemp("scratch"), "text_generation")
    yield running
    running.kill()


def test_a_carried_adapter_writes_on_the_compressed_base_and_no_other_does(
    db: None,
    tiny: Path,
    small: tuple[Path, Path],
    adapters: list[Path],
    process: ReplicaProcess,
    client: Any,
    tmp_path: Path,
) -> None:
    folder, carried_folder = small
    acme, base = customer(), text_base(tiny)
    whole = version_of(
        acme, base, copied(folder, tmp_path / "w"), kind="pruned", name="ft:tiny:acme:small:1"
    )
    carried = version_of(
        acme,
        base,
        copied(carried_folder, tmp_path / "c"),
        over=whole,
        name="ft:tiny:acme:small:1:adapter-1",
    )
    dense = version_of(acme, base, copied(adapters[1], tmp_path / "d"), name="ft:tiny:acme:d:2")
    assert carried.kind == ModelVersion.Kind.ADAPTER
    process.wait()
    serving = Serving(whole.id, "tiny", whole.id)
    with process.entered(claimed(serving, tmp_path / "scratch")):
        said = {
            each.name: client(acme)
            .chat.completions.create(model=each.name, messages=HELLO, temperature=0, max_tokens=12)
            .choices[0]
            .message.content
            for each in (whole, carried)
        }
    # one replica wrote for both, each as the engine alone does
    ids = prompt_ids(tiny, HELLO)
    asked_for: dict[str, Any] = {"temperature": 0, "max_tokens": 12}
    assert said[whole.name] == written(folder, ids, **asked_for)
    assert said[carried.name] == written(folder, ids, adapter=carried_folder, **asked_for)
    assert said[whole.name] != said[carried.name]
    # and an adapter opens on exactly what it belongs on
    for place, version in ((serving, dense), (Serving("tiny", "tiny"), carried)):
        with pytest.raises(NotFound, match="has no adapter"):
            adapter_open(
                serving=place,
                tenant_id=acme.tenant_id,
                version_id=version.id,
                into=tmp_path / "x",
            )
