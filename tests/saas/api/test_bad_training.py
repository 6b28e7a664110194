"""What must not train, over the API: the line or the setting is named, and no job begins.

Where only training can tell, as with a loss that explodes, the job fails and says what to do.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import system_scope
from tests.saas.api.factories import (
    BASE,
    Caller,
    base_register,
    chats,
    compression_body,
    jsonl,
)
from tests.saas.api.test_tasks import ROWS, preferences, submitted
from tests.workers.engine.factories import base_folder, quantised_folder
from tests.workers.engine.tasks.media import COLOUR_SIZE, colours, folders_zip, png
from tests.workers.engine.tasks.sounds import TONES_SIZE, sound, tone, tones
from tests.workers.engine.tasks.texts import encoder_folder
from tests.workers.jobs.factories import make_worker
from tests.workers.tasks.factories import start
from workers.assets.models import BaseModel
from workers.assets.services import base_model_register
from workers.engine.base.images import image_base_build
from workers.engine.base.recordings import audio_base_build
from workers.engine.base.tables import tabular_base_build
from workers.jobs.models import Job

pytestmark = pytest.mark.django_db

LABELLED = [{"text": f"say {n}", "label": ("even", "odd")[n % 2]} for n in range(6)]
PAIRS = [{"anchor": f"say {n}", "positive": f"{n} it is"} for n in range(6)]
BUILDERS = {
    "embeddings": ("embedding", encoder_folder),
    "image_classification": ("image", lambda folder: image_base_build(folder, COLOUR_SIZE)),
    "audio_classification": ("audio", lambda folder: audio_base_build(folder, TONES_SIZE)),
    "tabular": ("tabular", tabular_base_build),
}


def model_of(task: str, base: BaseModel, folder: Path) -> str:
    """A registered model that can learn the task."""
    if task not in BUILDERS:
        return str(base.pk)
    kind, build = BUILDERS[task]
    base_model_register(path=build(folder / kind), model_id=kind, kind=kind, licence="mit")
    return kind


def zipped(files: Any, folder: Path, end: str = "png") -> bytes:
    return folders_zip(folder / "t.zip", files, end=end).read_bytes()


def content_of(task: str, folder: Path) -> bytes:
    """A small file that the task learns from."""
    if task == "image_classification":
        return zipped(colours(12), folder)
    if task == "audio_classification":
        return zipped(tones(12), folder, "wav")
    return {
        "text_generation": chats(12),
        "preference": preferences(12),
        "text_classification": jsonl(*LABELLED),
        "embeddings": jsonl(*PAIRS),
        "tabular": ROWS,
    }[task]


def begun() -> int:
    with system_scope():
        return Job.objects.count()


# Data that a task cannot learn from: the file's content, or what becomes of a good one's rows

BROKEN: Mapping[str, list[tuple[bytes, str]]] = {
    "text_generation": [
        (chats(3) + b"{", "line 4, line: "),
        (chats(3) + jsonl(["a"]), "line 4, line: the line is not a JSON object"),
        (chats(3) + jsonl({"prompt": "a"}), "line 4, completion: "),
        (chats(3) + jsonl({"prompt": "a " * 300, "completion": "b"}), "line 4 has 303 tokens, the"),
        (  # nothing is to be learned of it
            jsonl({"messages": [{"role": "user", "content": "nobody answers"}]}),
            "line 1, messages: no message has the role assistant",
        ),
        (
            jsonl({"messages": [{"role": "assistant", "content": "b", "weight": 0}]}),
            "line 1, messages: no token of this row is to be learned",
        ),
    ],
    "preference": [
        (preferences(3) + jsonl({"prompt": "a", "chosen": "b"}), "line 4, rejected: "),
        (
            preferences(3) + jsonl({"prompt": "a", "chosen": "b", "rejected": "b"}),
            "line 4, non_preferred_output: both outputs are the same",
        ),
    ],
    "text_classification": [
        (jsonl(*LABELLED, {"text": "a"}), "line 7, label: the label is None"),
        (jsonl(*LABELLED, {"text": " ", "label": "odd"}), "line 7, text: the text is missing"),
        (jsonl(*LABELLED[::2]), "every label is 'even'"),
        (jsonl(*LABELLED, {"text": "a", "label": "x"}), "line 7, label: the class 'x' has one"),
    ],
    "embeddings": [
        (jsonl(*PAIRS, {"anchor": "a"}), "line 7, positive: the positive is missing or empty"),
        (jsonl(*PAIRS[:1]), "one pair teaches nothing"),
    ],
    "tabular": [
        (b"a,target\n", "the table has no rows"),
        (b"a,target\n1,x\n2,x\n3,y\n", "line 4, target: the class 'y' has one example"),
        (b"a,target\n1,5\n2,5\n", "the target is '5' in every row"),
        (b"a,target\ninf,1\n2,3\n", "line 2, a: 'inf' is no finite number"),
        (b"PAR1 and nothing else", "the Parquet file cannot be read"),
    ],
}


@pytest.mark.parametrize("task", BROKEN)
def test_broken_files_are_refused_by_line_and_field(
    base: BaseModel, api: Caller, tmp_path: Path, task: str
) -> None:
    model = model_of(task, base, tmp_path)
    for content, says in BROKEN[task]:
        reply = submitted(api, model, content, "rows", task=task)
        assert (reply.status, reply.error["param"]) == (400, "training_file"), reply.content
        assert says in reply.error["message"]
        assert "; " in reply.error["message"]  # what to do
    assert begun() == 0


FILES: Mapping[str, list[tuple[Any, str]]] = {
    "image_classification": [
        ([*colours(6), ("red", b"no image")], "line 7, data/red/6.png: it is no image that is"),
        ([*colours(6), ("red", colours(1)[0][1][:200])], "line 7, data/red/6.png: the image is"),
        (colours(4), "label: the class 'blue' has one example only"),
        ([("red", png(np.zeros((8, 8), np.uint8)))] * 3, "every label is 'red'"),
    ],
    "audio_classification": [
        ([*tones(6), ("low", b"RIFF, so it says")], "line 7, data/low/6.wav: it is no recording"),
        ([*tones(6), ("low", sound(tone(300, 1.0)))], "line 7 has 14 tokens, the limit is 4"),
        ([*tones(6), ("low", sound(np.zeros(80)))], "line 7, data/low/6.wav: the recording is too"),
        (tones(4), "label: the class 'high' has one example only"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("task", FILES)
def test_broken_images_and_recordings_are_refused_by_their_names(
    base: BaseModel, api: Caller, tmp_path: Path, task: str
) -> None:
    model = model_of(task, base, tmp_path)
    for files, says in FILES[task]:
        content = zipped(files, tmp_path, "png" if task == "image_classification" else "wav")
        reply = submitted(api, model, content, "t.zip", task=task)
        assert (reply.status, reply.error["param"]) == (400, "training_file"), reply.content
        assert says in reply.error["message"]
    assert begun() == 0


# Settings that do not go with the model or the task


UNFIT: Mapping[str, list[tuple[dict[str, Any], str, str]]] = {
    "text_generation": [
        ({"optimiser": "adafactor"}, "optimiser", "one of adam, adamw, adamw_8bit, sgd"),
        ({"optimiser": "adamw_8bit"}, "optimiser", "for the method 'full'"),
        (
            {"optimiser": "adamw_8bit", "method": "full"},
            "optimiser",
            "for GPU workers, and this platform has none; leave optimiser out",
        ),
        ({"quantise_base": "int3"}, "quantise_base", "one of nf4, none"),
        ({"quantise_base": "nf4", "method": "full"}, "quantise_base", "give the method 'lora'"),
        (
            {"quantise_base": "nf4"},
            "quantise_base",
            "for GPU workers, and this platform has none; leave quantise_base out",
        ),
        ({"schedule": "steps"}, "schedule", "one of constant, cosine, linear"),
        (
            {"lora": {"rank": 17}},
            "lora.rank",
            "larger than the layer model.layers.0.self_attn.k_proj (16 by 32); at most 16",
        ),
        (
            {"lora": {"rank": 33, "target_modules": ["q_proj"]}},
            "lora.rank",
            "larger than the layer model.layers.0.self_attn.q_proj (32 by 32); at most 32",
        ),
        (
            {"lora": {"target_modules": ["c_attn"]}},
            "lora.target_modules",
            "no linear layer c_attn; it has down_proj, gate_proj, k_proj",
        ),
    ],
    "preference": [
        ({"lora": {"rank": 17}}, "lora.rank", "at most 16"),
        ({"quantise_base": "nf4"}, "quantise_base", "this platform has none"),
        ({"length_policy": "split"}, "length_policy", "'error' or 'truncate'"),
    ],
    "text_classification": [
        ({"method": "lora"}, "method", "give 'full'"),
        ({"quantise_base": "nf4"}, "quantise_base", "all of it; leave quantise_base out"),
        ({"length_policy": "split"}, "length_policy", "'error' or 'truncate'"),
    ],
    "embeddings": [
        ({"method": "lora"}, "method", "give 'full'"),
        ({"quantise_base": "nf4"}, "quantise_base", "all of it; leave quantise_base out"),
        ({"length_policy": "split"}, "length_policy", "'error' or 'truncate'"),
        ({"batch_size": 1}, "batch_size", "give 2 or more"),
    ],
    "image_classification": [
        ({"method": "lora"}, "method", "give 'full'"),
        ({"quantise_base": "nf4"}, "quantise_base", "all of it; leave quantise_base out"),
        ({"length_policy": "split"}, "length_policy", "'error' or 'truncate'"),
    ],
    "audio_classification": [
        ({"method": "lora"}, "method", "give 'full'"),
        ({"quantise_base": "nf4"}, "quantise_base", "all of it; leave quantise_base out"),
        ({"length_policy": "split"}, "length_policy", "'error' or 'truncate'"),
    ],
    "tabular": [
        ({"method": "lora"}, "method", "give 'full'"),
        ({"quantise_base": "nf4"}, "quantise_base", "all of it; leave quantise_base out"),
        ({"tabular": {"target": "height"}}, "training_file", "height"),
        ({"tabular": {"hidden": [0]}}, "tabular.hidden", "units of a layer"),
    ],
}


@pytest.mark.parametrize("task", UNFIT)
def test_settings_that_do_not_fit_are_refused_by_name(
    base: BaseModel, api: Caller, tmp_path: Path, task: str
) -> None:
    model, content = model_of(task, base, tmp_path), content_of(task, tmp_path)
    for settings, param, says in UNFIT[task]:
        reply = submitted(api, model, content, "rows", task=task, **settings)
        assert (reply.status, reply.error["param"]) == (400, param), reply.content
        assert says in reply.error["message"]
    assert begun() == 0
    fits = submitted(api, model, content, "rows", task=task)  # it was the settings alone
    assert fits.status == 200, fits.content


def test_a_length_beyond_the_context_bounds_nothing(base: BaseModel, api: Caller) -> None:
    """The base reads 128 tokens, whatever is asked for; longer rows are cut only where asked."""
    long = chats(3) + jsonl({"prompt": "a " * 300, "completion": "b"})
    reply = submitted(api, BASE, long, "rows", max_length=100_000)
    assert (reply.status, reply.error["code"]) == (400, "example_too_long")
    assert "line 4 has 303 tokens, the limit is 128" in reply.error["message"]
    assert submitted(api, BASE, chats(3), "rows", max_length=100_000).status == 200


# A base without a tokenizer


def test_a_text_model_without_a_tokenizer_does_not_enter_the_catalogue(
    db: None, tmp_path: Path
) -> None:
    platform_tenant_ensure()
    for kind, build in (("text_generation", base_folder), ("embedding", encoder_folder)):
        folder = build(tmp_path / kind)
        (folder / "tokenizer.json").unlink()
        with pytest.raises(InvalidInput, match="needs the fast tokenizer's file") as refused:
            base_model_register(path=folder, model_id="bare", kind=kind, licence="mit")
        assert refused.value.code == "no_tokenizer"
    with system_scope():
        assert not BaseModel.objects.exists()


def test_a_tokenizer_that_went_is_told_as_our_fault(
    base_path: Path, api: Caller, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(base_path, tmp_path / "altered"))
    model = base_register(folder, "altered")
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    model = base_register(folder, "altered")  # other bytes, so nobody has read them yet
    (folder / "tokenizer.json").unlink()
    reply = submitted(api, str(model.pk), chats(), "rows")
    assert reply.status == 500
    assert "the folder of altered cannot be read" in reply.error["message"]
    assert begun() == 0


# A base whose weights are rounded: it is there to be called


def test_a_quantised_base_is_neither_trained_nor_compressed(
    base: BaseModel, base_path: Path, api: Caller, tmp_path: Path
) -> None:
    base_register(quantised_folder(base_path, tmp_path / "rounded"), "rounded")
    for settings in ({}, {"method": "full"}, {"quantise_base": "nf4"}):
        reply = submitted(api, "rounded", chats(), "rows", **settings)
        assert (reply.status, reply.error["code"]) == (400, "model_not_supported"), reply.content
        assert "its rounded weights cannot learn" in reply.error["message"]
    body = compression_body(api.upload(chats()).json["id"]) | {"model": "rounded"}
    reply = api.post("/v1/compressions", body)
    assert (reply.status, reply.error["code"]) == (400, "model_not_supported"), reply.content
    assert "is quantised already" in reply.error["message"]
    assert begun() == 0


# A loss that explodes: known only while it trains

WILD = {
    "optimiser": "sgd",
    "learning_rate": 100.0,
    "weight_decay": 1.0,
    "gradient_clip": 0.0,
    "epochs": 30,
    "method": "full",
}


@pytest.mark.parametrize("task", ["text_generation", "tabular"])
def test_an_exploding_loss_fails_the_job_and_says_what_to_do(
    own_folders: None, base: BaseModel, api: Caller, tmp_path: Path, task: str
) -> None:
    model = model_of(task, base, tmp_path)
    made = submitted(api, model, content_of(task, tmp_path), "rows", task=task, **WILD)
    assert made.status == 200, made.content
    start(make_worker()).join()
    job = api.get(f"/v1/fine_tuning/jobs/{made.json['id']}").json
    assert (job["status"], job["fine_tuned_model"]) == ("failed", None)
    assert "ower learning_rate (now 100" in job["error"]["message"]
    last = api.get(f"/v1/fine_tuning/jobs/{job['id']}/events").json["data"][0]
    assert last["level"] == "error"
