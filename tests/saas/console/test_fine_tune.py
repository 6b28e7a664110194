"""Starting a fine-tune of each task: its data, methods and settings, its price before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenants.kernel.scope import tenant_scope
from tests.saas.console.factories import Person, event_add, job_make
from workers.assets.local_bases import embedding_model_folder
from workers.assets.models import BaseModel
from workers.assets.reading import dataset_read_next
from workers.assets.services import base_model_register, file_create
from workers.engine.base.images import image_base_build
from workers.engine.base.recordings import audio_base_build
from workers.engine.base.tables import tabular_base_build
from workers.engine.made_up import file_make
from workers.jobs.models import Job
from workers.jobs.progress import curve_point

pytestmark = pytest.mark.django_db
START = "/console/jobs/job/start/"
BUILDERS = {
    "tabular": ("tabular", tabular_base_build),
    "image_classification": ("image", image_base_build),
    "audio_classification": ("audio", audio_base_build),
    "embeddings": ("embedding", lambda _: embedding_model_folder()),
}
OWN_FIELDS = {
    "text_generation": {"method"},
    "preference": {"method", "beta"},
    "text_classification": set(),
    "embeddings": {"temperature"},
    "image_classification": set(),
    "audio_classification": set(),
    "tabular": {"target", "problem", "hidden"},
}
FILLED = {
    "preference": {"beta": "0.3", "method": "lora"},
    "embeddings": {"temperature": "0.1"},
    "tabular": {"target": "y", "problem": "regression", "hidden": "seed"},
}


@pytest.fixture
def catalogue(base: BaseModel, tmp_path: Path) -> dict[str, BaseModel]:
    """A base for each task."""
    found = dict.fromkeys(OWN_FIELDS, base)
    for task, (kind, build) in BUILDERS.items():
        found[task] = base_model_register(
            path=build(tmp_path / task), model_id=kind, kind=kind, licence="mit"
        )
    return found


@pytest.mark.parametrize("task", sorted(OWN_FIELDS))
def test_a_task_is_quoted_explained_and_started(
    owner: Person, catalogue: dict[str, BaseModel], tmp_path: Path, task: str
) -> None:
    chosen = catalogue[task]
    path = file_make(task, Path(chosen.path), tmp_path / "rows", count=16, size=5, seed=0)
    with tenant_scope(owner.tenant.id):
        name = "d.csv" if task == "tabular" else "d.jsonl"
        file = file_create(
            actor=owner.actor, filename=name, purpose="fine-tune", chunks=[path.read_bytes()]
        )
    page = owner.get(START, task=task)
    form = page.context["form"]
    shown = set(form.fields) & set().union(*OWN_FIELDS.values())
    assert shown == OWN_FIELDS[task]
    assert chosen.pk in dict(form.fields["model"].choices)
    assert str(form.fields["training_file"].help_text) in page.content.decode()

    sent = {"task": task, "model": chosen.pk, "training_file": file.pk, **FILLED.get(task, {})}
    quoted = owner.post(START, **sent)
    quote, reasons = quoted.context["quote"], quoted.context["chosen"]
    assert {str(name) for name, _, _ in reasons} >= {"Passes over the data", "Learning rate"}
    assert all(why for _, _, why in reasons)

    started = owner.post(START, **sent, quote_id=quote["id"])
    assert started.status_code == 302, started.content
    with tenant_scope(owner.tenant.id):
        settings = Job.objects.get().spec["settings"]
    assert settings["task"] == task
    if task == "tabular":
        assert settings["tabular"] == {"target": "y", "problem": "regression", "hidden": "seed"}
    if task == "preference":
        assert settings["preference"] == {"beta": 0.3}
    if task == "embeddings":
        assert settings["embeddings"] == {"temperature": 0.1}


def test_a_model_of_another_task_is_not_offered(
    owner: Person, catalogue: dict[str, BaseModel]
) -> None:
    form = owner.get(START, task="tabular").context["form"]
    assert [name for name, _ in form.fields["model"].choices] == ["tabular"]
    assert [name for name, _ in form.fields["hidden"].choices][:2] == ["small", "seed"]
    unknown = owner.get(START, task="chess")
    assert unknown.context["task"] == "text_generation"


def test_every_task_stands_on_the_page_in_both_languages(owner: Person, base: BaseModel) -> None:
    english = owner.get(START).content.decode()
    owner.post("/i18n/setlang/", language="zh-hans", next=START)
    chinese = owner.get(START, task="tabular").content.decode()
    for task in OWN_FIELDS:
        assert f"?task={task}" in english
    assert "Predict from tables" in english
    assert "预测表格" in chinese
    assert "10-5-3-1" in chinese


@pytest.mark.parametrize(
    ("task", "points", "baseline"),
    [
        ("image_classification", [{"accuracy": .3, "baseline_accuracy": .2}, {"accuracy": 1}], .2),
        ("tabular", [{"mse": 9.0, "baseline_mse": 8.0}, {"mse": 2.0}], 8.0),
        ("embeddings", [{"mrr": 0.6}, {"mrr": 0.8}], 0.6),
    ],
)  # fmt: skip
def test_the_live_page_shows_the_metric_beside_its_plain_baseline(
    owner: Person, task: str, points: list[dict[str, float]], baseline: float
) -> None:
    job = job_make(owner, spec={"model": "m", "settings": {"task": task}})
    for step, each in zip((0, 40), points, strict=True):
        named = {k if k.startswith("baseline") else f"validation_{k}": v for k, v in each.items()}
        event_add(job, **curve_point(step, 40, {"validation_loss": 1.0, **named}))
    page = owner.get(f"/console/jobs/job/{job.pk}/change/")
    metric = page.context["live"]["metric"]
    (name,) = points[1]
    assert metric["points"] == [{"x": 0, "y": points[0][name]}, {"x": 40, "y": points[1][name]}]
    assert metric["baseline"] == baseline
    assert 'id="live-metric"' in page.content.decode()


def test_a_large_file_is_read_first_and_its_price_shown_then(
    owner: Person, base: BaseModel, tmp_path: Path, settings: Any
) -> None:
    settings.READ_AT_ONCE_BYTES = 10
    path = file_make("text_generation", tmp_path, tmp_path / "rows", count=16, size=5, seed=0)
    with tenant_scope(owner.tenant.id):
        file = file_create(
            actor=owner.actor, filename="d", purpose="fine-tune", chunks=[path.read_bytes()]
        )
    sent = {"task": "text_generation", "model": base.pk, "training_file": file.pk}
    waiting = owner.post(START, **sent)
    assert waiting.context["quote"] is None
    assert "a worker reads it first" in waiting.content.decode()
    assert dataset_read_next() is not None
    assert owner.post(START, **sent).context["quote"]["id"]
