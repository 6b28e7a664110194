"""Every task over the API: uploaded, quoted and submitted as chats are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openai.types.fine_tuning import FineTuningJob

from tenants.accounts.services import platform_tenant_ensure
from tests.saas.api.factories import BASE, Caller
from tests.workers.engine.tasks.media import colours, folders_zip
from tests.workers.engine.tasks.sounds import TONES_SIZE, sound, tone, tones
from workers.assets.models import BaseModel
from workers.assets.services import base_model_register
from workers.engine.base.images import image_base_build
from workers.engine.base.recordings import audio_base_build
from workers.engine.base.tables import tabular_base_build

pytestmark = pytest.mark.django_db

TABLE = "tabular-mlp"
IMAGE = "vit-mini"
ROWS = b"age,bmi,target\n" + b"".join(b"%d,%d,%d\n" % (n, 50 - n, 2 * n) for n in range(1, 41))


@pytest.fixture
def tabular(db: None, tmp_path: Path) -> BaseModel:
    platform_tenant_ensure()
    folder = tabular_base_build(tmp_path / TABLE)
    return base_model_register(path=folder, model_id=TABLE, kind="tabular", licence="Apache-2.0")


def submitted(api: Caller, model: str, content: bytes, name: str, **settings: Any) -> Any:
    file = api.upload(content, name)
    assert file.status == 200, file.content
    body = {"model": model, "training_file": file.json["id"], "settings": settings}
    return api.post("/v1/fine_tuning/jobs", body)


def test_a_table_is_submitted_and_quoted_by_its_cells(tabular: BaseModel, api: Caller) -> None:
    reply = submitted(
        api, TABLE, ROWS, "people.csv", tabular={"hidden": "seed", "target": "target"}, epochs=3
    )
    assert reply.status == 200, reply.content
    body = {
        "kind": "fine_tune",
        "model": TABLE,
        "training_file": reply.json["training_file"],
        "settings": {"tabular": {"hidden": "seed", "target": "target"}, "epochs": 3},
    }
    quote = api.post("/v1/quotes", body).json
    (line,) = quote["lines"]
    assert (line["meter"], float(line["high"])) == ("tokens.trained", 40 * 2 * 3)


def test_a_parquet_table_is_submitted(tabular: BaseModel, api: Caller, tmp_path: Path) -> None:
    columns = {"age": list(range(40)), "target": [2.5 * n for n in range(40)]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    reply = submitted(api, TABLE, (tmp_path / "t.parquet").read_bytes(), "t.parquet")
    assert reply.status == 200, reply.content
    (read,) = api.get("/v1/datasets").json["data"]
    assert (read["format"], read["examples"], read["tokens"]) == ("parquet", 40, 40)


def test_a_faulty_table_says_where_and_what(tabular: BaseModel, api: Caller) -> None:
    broken = ROWS.replace(b"7,43,14\n", b"7,43,many\n")
    reply = submitted(
        api, TABLE, broken, "people.csv", tabular={"target": "target", "problem": "regression"}
    )
    assert reply.status == 400
    assert "line 8" in reply.error["message"], reply.error
    assert "target" in reply.error["message"]


@pytest.fixture
def vit(db: None, tmp_path: Path) -> BaseModel:
    platform_tenant_ensure()
    folder = image_base_build(tmp_path / IMAGE)
    return base_model_register(path=folder, model_id=IMAGE, kind="image", licence="Apache-2.0")


def test_images_are_submitted_and_quoted_by_their_patches(
    vit: BaseModel, api: Caller, tmp_path: Path
) -> None:
    content = folders_zip(tmp_path / "t.zip", colours(24)).read_bytes()
    reply = submitted(api, IMAGE, content, "colours.zip", epochs=3)
    assert reply.status == 200, reply.content
    body = {
        "kind": "fine_tune",
        "model": IMAGE,
        "training_file": reply.json["training_file"],
        "settings": {"epochs": 3},
    }
    (line,) = api.post("/v1/quotes", body).json["lines"]
    assert (line["meter"], float(line["high"])) == ("tokens.trained", 24 * 64 * 3)

    read = api.get("/v1/datasets").json["data"][0]
    assert (read["format"], read["examples"], read["longest"]) == ("zip", 24, 64)


def test_recordings_are_submitted_and_a_longer_one_is_named(
    db: None, api: Caller, tmp_path: Path
) -> None:
    platform_tenant_ensure()
    folder = audio_base_build(tmp_path / "ast", TONES_SIZE)
    base_model_register(path=folder, model_id="ast", kind="audio", licence="Apache-2.0")
    good = folders_zip(tmp_path / "t.zip", tones(12), end="wav").read_bytes()
    reply = submitted(api, "ast", good, "tones.zip", epochs=2)
    assert reply.status == 200, reply.content
    files = [*tones(12), ("low", sound(tone(300, 1.0)))]
    long = folders_zip(tmp_path / "l.zip", files, end="wav").read_bytes()
    reply = submitted(api, "ast", long, "tones.zip", epochs=2)
    assert reply.status == 400
    assert "line 13 has 14 tokens, the limit is 4" in reply.error["message"]
    reply = submitted(api, "ast", long, "tones.zip", epochs=2, length_policy="truncate")
    assert reply.status == 200, reply.content


def test_a_faulty_image_says_where_and_what(vit: BaseModel, api: Caller, tmp_path: Path) -> None:
    files = [*colours(6), ("red", b"no image")]
    content = folders_zip(tmp_path / "t.zip", files).read_bytes()
    reply = submitted(api, IMAGE, content, "colours.zip")
    assert (reply.status, reply.error["param"]) == (400, "training_file")
    assert "line 7, data/red/6.png: it is no image that is known" in reply.error["message"]


def test_labelled_texts_are_submitted(base: BaseModel, api: Caller) -> None:
    rows = [{"text": f"say {n}", "label": "even" if n % 2 == 0 else "odd"} for n in range(20)]
    content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    reply = submitted(api, BASE, content, "rows.jsonl", task="text_classification")
    assert reply.status == 200, reply.content
    assert reply.json["model"] == BASE


def preferences(count: int = 20) -> bytes:
    """OpenAI's preference format."""
    rows = [
        {
            "input": {"messages": [{"role": "user", "content": f"Say {n}."}]},
            "preferred_output": [{"role": "assistant", "content": f"{n}, with pleasure."}],
            "non_preferred_output": [{"role": "assistant", "content": "No."}],
        }
        for n in range(count)
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_preferences_are_submitted_as_openais_clients_do(base: BaseModel, api: Caller) -> None:
    file = api.upload(preferences(), "pairs.jsonl").json["id"]
    dpo = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2, "n_epochs": 2}}}
    body = {"model": BASE, "training_file": file, "method": dpo}
    reply = api.post("/v1/fine_tuning/jobs", body)
    assert reply.status == 200, reply.content
    job = FineTuningJob.model_validate(reply.json)
    assert job.method is not None
    assert job.method.type == "dpo"
    assert job.method.dpo is not None
    assert job.method.dpo.hyperparameters is not None
    assert job.method.dpo.hyperparameters.beta == 0.2
    quoted = api.post("/v1/quotes", {"kind": "fine_tune", **body}).json
    read = api.get("/v1/datasets").json["data"][0]
    assert (read["format"], read["examples"]) == ("preference", 20)
    assert float(quoted["lines"][0]["high"]) == 2 * read["tokens"]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0}}}}, "preference.beta"),
        ({"method": {"type": "dpo"}, "settings": {"task": "text_generation"}}, "task"),
        ({}, "training_file"),  # pairs are no chats
    ],
)
def test_what_does_not_go_with_preferences_is_refused(
    base: BaseModel, api: Caller, changes: dict[str, Any], param: str
) -> None:
    file = api.upload(preferences(), "pairs.jsonl").json["id"]
    reply = api.post("/v1/fine_tuning/jobs", {"model": BASE, "training_file": file, **changes})
    assert (reply.status, reply.error["param"]) == (400, param), reply.content


def test_a_task_that_the_base_cannot_learn_is_refused(base: BaseModel, api: Caller) -> None:
    reply = submitted(api, BASE, ROWS, "people.csv", task="tabular")
    assert (reply.status, reply.error["param"]) == (400, "task"), reply.content
