"""One attempt with a real child, a real engine, a real database."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from django.conf import settings as live

from tenants.kernel.scope import system_scope, tenant_scope
from tests.workers.engine.factories import completions
from tests.workers.jobs.factories import (
    actor_of,
    attempts_of,
    job_row,
    make_tenant,
    make_worker,
    messages_of,
)
from tests.workers.tasks.factories import (
    BASE_ID,
    Running,
    sold,
    start,
    submit_fine_tune,
    until,
    upload,
    weights_of,
)
from workers.assets.models import BaseModel, ModelVersion
from workers.assets.services import file_delete
from workers.jobs.models import Checkpoint, Job, JobEvent, Snapshot
from workers.jobs.services import job_cancel, job_pause, job_resume, job_submit
from workers.jobs.states import Kind, State
from workers.tasks import watch
from workers.tasks.process import Child

pytestmark = pytest.mark.django_db

LONG = {"rows": 240, "batch_size": 2, "epochs": 4, "snapshot_every_steps": 20}

_references: dict[str, tuple[dict[str, Any], int]] = {}  # by settings; the base is always the same


def child_of(running: Running) -> Child:
    child: Child = until(lambda: running.supervision.watch.child, what="a child")
    return child


def reach(running: Running, step: int) -> None:
    """Wait until the attempt has passed `step`."""
    until(lambda: running.supervision.position[:1] >= (step,), what=f"step {step}")


def run_again(job_id: str) -> None:
    """The next attempt, without its back-off."""
    with system_scope():
        Job.objects.filter(pk=job_id).update(available_at="2000-01-01T00:00Z")
    start(make_worker()).join()


def reference(tmp_path: Path, **settings: Any) -> tuple[dict[str, Any], int]:
    """Weights and sold tokens of the same fine-tune, never interrupted."""
    key = repr(sorted(settings.items()))
    if key not in _references:
        job = submit_fine_tune(make_tenant(), **settings)
        start(make_worker()).join()
        _references[key] = outcome_of(job.id, tmp_path / "reference")
    return _references[key]


def outcome_of(job_id: str, into: Path) -> tuple[dict[str, Any], int]:
    row = job_row(job_id)
    assert row.state == State.SUCCEEDED, (row.state, row.error, messages_of(job_id))
    return weights_of(row.result["model_version_id"], into), sold(job_id)


def assert_same(found: tuple[dict[str, Any], int], wanted: tuple[dict[str, Any], int]) -> None:
    """Bit for bit, and sold once."""
    assert found[0].keys() == wanted[0].keys()
    assert all(torch.equal(found[0][name], wanted[0][name]) for name in wanted[0])
    assert found[1] == wanted[1]


def test_a_fine_tune_runs_to_a_model(base: BaseModel, tmp_path: Path) -> None:
    tenant = make_tenant()
    job = submit_fine_tune(tenant)
    start(make_worker()).join()
    _, tokens = outcome_of(job.id, tmp_path / "made")
    row = job_row(job.id)
    assert tokens == row.result["trained_tokens"] > 0
    assert (row.step, row.steps, row.remaining_s) == (12, 12, None)
    with system_scope():
        points = list(JobEvent.objects.filter(job_id=job.id, type="metrics").order_by("id"))
        checkpoints = list(Checkpoint.objects.filter(job_id=job.id).order_by("step"))
        versions = ModelVersion.objects.filter(job_id=job.id).count()
    # then its curve, held-out points included, its checkpoints and its plaintext are where they
    # belong
    assert [p.data["step"] for p in points if "train_loss" in p.data] == list(range(1, 13))
    assert [p.data["step"] for p in points if "valid_loss" in p.data] == [0, 6, 12]
    assert [c.step for c in checkpoints] == [6, 12]
    assert versions == 3
    assert list(Path(live.SCRATCH_DIR).iterdir()) == []


def test_nothing_of_the_customers_lies_in_storage_in_plain(base: BaseModel) -> None:
    submit_fine_tune(make_tenant())
    start(make_worker()).join()
    stored = [p.read_bytes() for p in Path(live.STORAGE_DIR).rglob("*") if p.is_file()]
    assert stored
    assert not any(b"is green" in content or b"lora_A" in content for content in stored)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_killed_child_resumes_bit_for_bit_and_is_sold_once(
    base: BaseModel, tmp_path: Path, method: str
) -> None:
    settings = {"epochs": 6, "method": method}
    wanted = reference(tmp_path, **settings)
    job = submit_fine_tune(make_tenant(), **settings)
    running = start(make_worker())
    reach(running, 5)
    os.kill(child_of(running).pid, signal.SIGKILL)
    running.join()
    row = job_row(job.id)
    assert (row.state, row.failures) == (State.QUEUED, {"platform": 1})
    assert row.resume_from
    run_again(job.id)
    assert_same(outcome_of(job.id, tmp_path / "resumed"), wanted)
    first, second = attempts_of(job.id)
    assert (first.outcome, first.failure_kind) == ("failed", "platform")
    assert second.outcome == "succeeded"
    assert second.from_step > 0
    assert any("bit for bit" in message for message in messages_of(job.id))


def test_pause_takes_a_snapshot_and_resume_goes_on_bit_for_bit(
    base: BaseModel, tmp_path: Path
) -> None:
    wanted = reference(tmp_path, **LONG)
    tenant = make_tenant()
    job = submit_fine_tune(tenant, **LONG)
    running = start(make_worker())
    reach(running, 3)
    with tenant_scope(tenant.id):
        job_pause(actor=actor_of(tenant), job_id=job.id)
    running.join()
    row = job_row(job.id)
    assert (row.state, attempts_of(job.id)[0].outcome) == (State.PAUSED, "paused")
    assert 0 < row.step < row.steps
    with tenant_scope(tenant.id):
        job_resume(actor=actor_of(tenant), job_id=job.id)
    run_again(job.id)
    assert_same(outcome_of(job.id, tmp_path / "resumed"), wanted)


def test_a_draining_worker_hands_the_job_back_and_another_goes_on(
    base: BaseModel, tmp_path: Path
) -> None:
    wanted = reference(tmp_path, **LONG)
    job = submit_fine_tune(make_tenant(), **LONG)
    running = start(make_worker())
    reach(running, 3)
    running.draining.set()
    running.join()
    row = job_row(job.id)
    assert (row.state, row.failures) == (State.QUEUED, {})
    assert attempts_of(job.id)[0].outcome == "handed_back"
    run_again(job.id)
    assert_same(outcome_of(job.id, tmp_path / "resumed"), wanted)


def test_a_cancelled_job_stops_and_what_it_used_is_sold(base: BaseModel) -> None:
    tenant = make_tenant()
    job = submit_fine_tune(tenant, epochs=1000, rows=240)
    running = start(make_worker())
    reach(running, 3)
    with tenant_scope(tenant.id):
        job_cancel(actor=actor_of(tenant), job_id=job.id)
    running.join()
    assert job_row(job.id).state == State.CANCELLED
    assert sold(job.id) > 0
    with system_scope():
        assert not ModelVersion.objects.filter(job_id=job.id, is_checkpoint=False).exists()


def test_orders_that_come_before_the_first_step_are_obeyed_at_once(base: BaseModel) -> None:
    tenant = make_tenant()
    job = submit_fine_tune(tenant, epochs=1000, rows=240)
    running = start(make_worker())
    with tenant_scope(tenant.id):
        job_pause(actor=actor_of(tenant), job_id=job.id)
    running.join()
    assert job_row(job.id).state == State.PAUSED


def test_a_child_that_hangs_is_ended_and_the_job_goes_on(
    base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "STEP_S", 1.0)
    monkeypatch.setattr(watch, "GRACE_S", 0.5)
    job = submit_fine_tune(make_tenant(), epochs=1000, rows=240)
    running = start(make_worker())
    reach(running, 3)
    os.kill(child_of(running).pid, signal.SIGSTOP)  # alive, but it moves no more
    running.join()
    attempt = attempts_of(job.id)[0]
    assert (job_row(job.id).state, attempt.failure_kind) == (State.QUEUED, "platform")
    assert "no progress" in attempt.error


def test_bad_settings_that_only_training_shows_are_the_customers(base: BaseModel) -> None:
    job = submit_fine_tune(make_tenant(), learning_rate=99.0, gradient_clip=0.0, optimiser="sgd")
    start(make_worker()).join()
    row = job_row(job.id)
    assert row.state == State.FAILED
    assert "learning_rate" in row.error["message"]
    assert attempts_of(job.id)[0].failure_kind == "customer"


def test_a_deleted_file_fails_the_job_with_its_name(base: BaseModel) -> None:
    tenant = make_tenant()
    job = submit_fine_tune(tenant)
    with tenant_scope(tenant.id):
        file_delete(actor=actor_of(tenant), file_id=job.spec["training_file_id"])
    start(make_worker()).join()
    row = job_row(job.id)
    assert (row.state, row.error["code"]) == (State.FAILED, "file_deleted")
    assert job.spec["training_file_id"] in row.error["message"]


def test_an_evaluation_measures_base_and_adapter(base: BaseModel) -> None:
    tenant = make_tenant()
    tuned = submit_fine_tune(tenant, epochs=4, learning_rate=3e-2)
    start(make_worker()).join()
    name = job_row(tuned.id).result["model_name"]
    file_id = upload(tenant, completions(24))
    losses = []
    for model in (BASE_ID, name):
        with tenant_scope(tenant.id):
            job = job_submit(
                actor=actor_of(tenant),
                kind=Kind.EVALUATE,
                spec={"model": model, "file_id": file_id},
            )
        start(make_worker(), queue="infer.cpu").join()
        row = job_row(job.id)
        assert row.state == State.SUCCEEDED, row.error
        assert sold(job.id, "tokens.evaluated") == row.result["metrics"]["tokens"]
        losses.append(row.result["metrics"]["loss"])
    assert losses[1] < losses[0]


def test_a_fine_tune_goes_on_from_an_earlier_version(base: BaseModel) -> None:
    tenant = make_tenant()
    first = submit_fine_tune(tenant)
    start(make_worker()).join()
    name = job_row(first.id).result["model_name"]
    with tenant_scope(tenant.id):
        second = job_submit(
            actor=actor_of(tenant),
            kind=Kind.FINE_TUNE,
            spec={
                "model": name,
                "training_file_id": first.spec["training_file_id"],
                "settings": {"epochs": 1, "batch_size": 4},
            },
        )
    start(make_worker()).join()
    row = job_row(second.id)
    assert row.state == State.SUCCEEDED, row.error
    with system_scope():
        version = ModelVersion.objects.get(pk=row.result["model_version_id"])
        assert version.parent is not None
        assert version.parent.name == name


def test_snapshots_lie_under_their_token(base: BaseModel) -> None:
    job = submit_fine_tune(make_tenant())
    start(make_worker()).join()
    with system_scope():
        for snapshot in Snapshot.objects.filter(job_id=job.id):
            assert snapshot.storage_key.split("/")[1:4] == ["jobs", job.id, str(snapshot.token)]
