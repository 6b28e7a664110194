"""Every task from the upload to a model, its charge and its evaluation, by a worker's parent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tenants.accounts.models import Tenant
from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import tenant_scope
from tests.workers.engine.factories import completions, write_jsonl
from tests.workers.engine.tasks.factories import Split, table_split
from tests.workers.engine.tasks.media import COLOUR_SIZE, Named, colours, folders_zip
from tests.workers.engine.tasks.sounds import TONES_SIZE, tones
from tests.workers.engine.tasks.texts import encoder_folder, pairs
from tests.workers.jobs.factories import actor_of, make_tenant, make_worker
from tests.workers.tasks.factories import sold, start, submit_fine_tune
from workers.assets.models import BaseModel
from workers.assets.selectors import model_resolve
from workers.assets.services import base_model_register, file_create
from workers.engine.base.images import image_base_build
from workers.engine.base.recordings import audio_base_build
from workers.engine.base.tables import tabular_base_build
from workers.engine.data.tokens import Tokenizer
from workers.jobs.models import Job
from workers.jobs.services import job_submit
from workers.jobs.states import Kind, State

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "tabular-mlp"


@pytest.fixture
def tabular(tmp_path: Path) -> BaseModel:
    platform_tenant_ensure()
    folder = tabular_base_build(tmp_path / MODEL)
    return base_model_register(path=folder, model_id=MODEL, kind="tabular", licence="Apache-2.0")


def upload(tenant: Tenant, path: Path) -> str:
    with tenant_scope(tenant.id):
        content = [path.read_bytes()]
        actor = actor_of(tenant)
        file = file_create(actor=actor, filename=path.name, purpose="fine-tune", chunks=content)
    return str(file.id)


def submit(tenant: Tenant, kind: Kind, **spec: Any) -> Job:
    with tenant_scope(tenant.id):
        return job_submit(actor=actor_of(tenant), kind=kind, spec=spec)


def fine_tune(tenant: Tenant, data: Split) -> Job:
    return submit(
        tenant,
        Kind.FINE_TUNE,
        model=MODEL,
        training_file_id=upload(tenant, data.train),
        validation_file_id=upload(tenant, data.held_out),
        requested_hyperparameters={"n_epochs": 10},
        settings={"tabular": {"hidden": "seed", "target": "target"}, "optimiser": "adam"},
    )


def test_a_table_becomes_a_model_that_is_charged_and_measured(
    tabular: BaseModel, tmp_path: Path
) -> None:
    # given a table of 331 rows with ten columns to learn from
    tenant, worker = make_tenant(), make_worker()
    data = table_split("diabetes", tmp_path)
    job = fine_tune(tenant, data)
    assert job.spec["settings"]["method"] == "full"
    start(worker).join()

    # then it is trained, a cell is sold as a token, and the held-out rows tell how good it is
    with tenant_scope(tenant.id):
        job.refresh_from_db()
    assert job.state == State.SUCCEEDED, job.error
    assert sold(job.id) == len(data.y) * 10 * 10
    metrics = job.result["metrics"]
    assert metrics["validation_mse"] < 0.75 * metrics["initial_validation_mse"]

    evaluation = submit(
        tenant, Kind.EVALUATE, model=job.result["model_name"], file_id=upload(tenant, data.held_out)
    )
    start(worker, queue="infer.cpu").join()
    with tenant_scope(tenant.id):
        evaluation.refresh_from_db()
    assert evaluation.state == State.SUCCEEDED, evaluation.error
    assert evaluation.result["metrics"]["mse"] == pytest.approx(metrics["validation_mse"])
    assert sold(evaluation.id, "tokens.evaluated") == len(data.y_held_out) * 10


def test_labelled_texts_become_a_classifier_that_is_charged_and_measured(
    base: BaseModel, tmp_path: Path
) -> None:
    tenant, worker = make_tenant(), make_worker()
    words = ("red", "green", "blue")
    rows = [{"text": f"{n} {words[n % 3]}", "label": words[n % 3]} for n in range(48)]
    data = upload(tenant, write_jsonl(tmp_path / "t.jsonl", rows))
    job = submit(
        tenant,
        Kind.FINE_TUNE,
        model=base.id,
        training_file_id=data,
        validation_file_id=data,
        requested_hyperparameters={"n_epochs": 8, "batch_size": 4},
        settings={"task": "text_classification", "learning_rate": 3e-3},
    )
    tokens = Tokenizer.load(Path(base.path))
    one_pass = sum(len(tokens.encode_whole(row["text"])) for row in rows)
    start(worker).join()
    with tenant_scope(tenant.id):
        job.refresh_from_db()
    assert job.state == State.SUCCEEDED, job.error
    assert sold(job.id) == one_pass * 8
    assert job.result["metrics"]["validation_accuracy"] > 0.9

    evaluation = submit(tenant, Kind.EVALUATE, model=job.result["model_name"], file_id=data)
    start(worker, queue="infer.cpu").join()
    with tenant_scope(tenant.id):
        evaluation.refresh_from_db()
    assert evaluation.state == State.SUCCEEDED, evaluation.error
    found = evaluation.result["metrics"]["accuracy"]
    assert found == pytest.approx(job.result["metrics"]["validation_accuracy"])


@dataclass(frozen=True)
class Kindred:
    """What is the same for images and recordings: a base of four patches, and files in a zip."""

    kind: str
    build: Callable[[Path], Path]
    files: Callable[..., Named]


MEDIA = (
    Kindred("image", lambda folder: image_base_build(folder, COLOUR_SIZE), colours),
    Kindred("audio", lambda folder: audio_base_build(folder, TONES_SIZE), tones),
)


@pytest.mark.parametrize("media", MEDIA, ids=lambda media: media.kind)
def test_files_become_a_classifier_that_is_charged_and_measured(
    db: None, tmp_path: Path, media: Kindred
) -> None:
    # given a zip of class folders
    platform_tenant_ensure()
    base = base_model_register(
        path=media.build(tmp_path / "base"), model_id="m", kind=media.kind, licence="Apache-2.0"
    )
    assert base.context_length == 4
    tenant, worker = make_tenant(), make_worker()
    job = submit(
        tenant,
        Kind.FINE_TUNE,
        model="m",
        training_file_id=upload(tenant, folders_zip(tmp_path / "t.zip", media.files(48))),
        validation_file_id=upload(tenant, folders_zip(tmp_path / "v.zip", media.files(24, seed=1))),
        requested_hyperparameters={"n_epochs": 8, "batch_size": 8},
    )
    start(worker).join()
    with tenant_scope(tenant.id):
        job.refresh_from_db()

    # then it learns by settings of its own, and a patch is sold as a token
    assert job.state == State.SUCCEEDED, job.error
    assert job.spec["settings"]["method"] == "full"
    assert sold(job.id) == 48 * 4 * 8
    assert job.result["metrics"]["validation_accuracy"] > 0.9

    data = upload(tenant, folders_zip(tmp_path / "e.zip", media.files(12, seed=2)))
    evaluation = submit(tenant, Kind.EVALUATE, model=job.result["model_name"], file_id=data)
    start(worker, queue="infer.cpu").join()
    with tenant_scope(tenant.id):
        evaluation.refresh_from_db()
    assert evaluation.state == State.SUCCEEDED, evaluation.error
    assert sold(evaluation.id, "tokens.evaluated") == 12 * 4
    assert evaluation.result["metrics"]["accuracy"] > 0.9


def test_pairs_of_texts_become_an_encoder_that_is_charged_and_measured(
    db: None, tmp_path: Path
) -> None:
    platform_tenant_ensure()
    folder = encoder_folder(tmp_path / "bert")
    base_model_register(path=folder, model_id="bert", kind="embedding", licence="Apache-2.0")
    tenant, worker = make_tenant(), make_worker()
    rows = pairs(48)
    data = upload(tenant, write_jsonl(tmp_path / "t.jsonl", rows))
    job = submit(
        tenant,
        Kind.FINE_TUNE,
        model="bert",
        training_file_id=data,
        validation_file_id=data,
        requested_hyperparameters={"n_epochs": 4},
        settings={"learning_rate": 1e-3},
    )
    assert job.spec["settings"]["task"] == "embeddings"
    assert job.spec["settings"]["batch_size"] == 32
    tokens = Tokenizer.load(folder)
    one_pass = sum(len(tokens.encode_whole(text)) for row in rows for text in row.values())
    start(worker).join()
    with tenant_scope(tenant.id):
        job.refresh_from_db()
    assert job.state == State.SUCCEEDED, job.error
    assert sold(job.id) == one_pass * 4
    metrics = job.result["metrics"]
    assert metrics["validation_mrr"] > metrics["initial_validation_mrr"]

    evaluation = submit(tenant, Kind.EVALUATE, model=job.result["model_name"], file_id=data)
    start(worker, queue="infer.cpu").join()
    with tenant_scope(tenant.id):
        evaluation.refresh_from_db()
    assert evaluation.state == State.SUCCEEDED, evaluation.error
    assert evaluation.result["metrics"]["mrr"] == pytest.approx(metrics["validation_mrr"])


def test_preferences_move_an_adapter_that_was_taught_before(
    base: BaseModel, tmp_path: Path
) -> None:
    # given an adapter from supervised training
    tenant, worker = make_tenant(), make_worker()
    taught = submit_fine_tune(tenant, validation=False)
    start(worker).join()
    with tenant_scope(tenant.id):
        taught.refresh_from_db()

    # when it goes on with pairs of outputs
    rows = [
        {"prompt": f"{n} red", "chosen": f" is {n} and blue", "rejected": f" IS NOT {n}"}
        for n in range(24)
    ]
    data = upload(tenant, write_jsonl(tmp_path / "t.jsonl", rows))
    job = submit(
        tenant,
        Kind.FINE_TUNE,
        model=taught.result["model_name"],
        training_file_id=data,
        validation_file_id=data,
        method="dpo",
        requested_hyperparameters={"n_epochs": 3, "batch_size": 4, "learning_rate_multiplier": 10},
    )
    assert job.spec["settings"]["lora"] == taught.spec["settings"]["lora"]
    start(worker).join()
    with tenant_scope(tenant.id):
        job.refresh_from_db()

    # then it starts from that adapter as its reference, and both outputs are sold
    assert job.state == State.SUCCEEDED, job.error
    metrics = job.result["metrics"]
    assert metrics["initial_validation_loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert metrics["validation_accuracy"] > 0.9
    text = Tokenizer.load(Path(base.path))
    one_pass = sum(
        len(text.encode_completion(row["prompt"], row[side])[0])
        for row in rows
        for side in ("chosen", "rejected")
    )
    assert sold(job.id) == one_pass * 3

    # and what came of it is a model of texts: measured as such, and taught on as such
    chats = upload(tenant, write_jsonl(tmp_path / "c.jsonl", completions(24)))
    evaluation = submit(tenant, Kind.EVALUATE, model=job.result["model_name"], file_id=chats)
    assert evaluation.spec["settings"]["task"] == "text_generation"
    again = submit(tenant, Kind.FINE_TUNE, model=job.result["model_name"], training_file_id=chats)
    assert again.spec["method"] == "supervised"
    with tenant_scope(tenant.id):
        assert model_resolve(job.result["model_name"]).kind == "text_generation"


def test_what_is_wrong_with_a_table_is_said_before_it_is_queued(
    tabular: BaseModel, tmp_path: Path
) -> None:
    tenant = make_tenant()
    path = tmp_path / "t.csv"
    path.write_text("a,target\n1,x\n2,x\n3,y\n")
    file_id = upload(tenant, path)
    with pytest.raises(InvalidInput, match="line 4, target: the class 'y' has one example only"):
        submit(tenant, Kind.FINE_TUNE, model=MODEL, training_file_id=file_id)
    for settings, field in (
        ({"tabular": {"hidden": "huge"}}, "tabular.hidden"),
        ({"tabular": {"depth": 3}}, "tabular.depth"),
        ({"task": "text_generation"}, "task"),
    ):
        with pytest.raises(InvalidInput) as raised:
            submit(
                tenant,
                Kind.FINE_TUNE,
                model=MODEL,
                training_file_id=file_id,
                settings=settings,
            )
        assert raised.value.param == field
