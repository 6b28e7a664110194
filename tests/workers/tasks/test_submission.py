"""Submitting jobs: what is asked for becomes a complete spec, or is refused by name."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tenants.accounts.actors import Actor, ActorKind, permissions
from tenants.accounts.models import AuditEntry
from tenants.accounts.roles import Role
from tenants.kernel.errors import BreakwaterError, Conflict, NotFound, PermissionDenied
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import system_scope, tenant_scope
from tests.workers.engine.factories import completions
from tests.workers.jobs.factories import (
    actor_of,
    attempts_of,
    claimed,
    job_row,
    make_tenant,
    make_worker,
    messages_of,
    queued_job,
)
from tests.workers.tasks.factories import BASE_ID, upload
from workers.assets.models import BaseModel
from workers.engine.hyperparameters import resolve_auto
from workers.jobs.leases import Orders, renew
from workers.jobs.models import Job
from workers.jobs.outcomes import job_hand_back, job_paused
from workers.jobs.selectors import job_get, jobs_page
from workers.jobs.services import job_cancel, job_pause, job_resume, job_submit
from workers.jobs.states import Kind, State

pytestmark = pytest.mark.django_db


def submit(tenant: Any, **spec: Any) -> Job:
    given = {"model": BASE_ID, **spec}
    if "training_file_id" not in given:
        given["training_file_id"] = upload(tenant, completions(50))
    with tenant_scope(tenant.id):
        return job_submit(actor=actor_of(tenant), kind=Kind.FINE_TUNE, spec=given)


def test_auto_settings_come_from_the_data_and_the_base(base: BaseModel) -> None:
    tenant = make_tenant()
    job = submit(
        tenant,
        training_file_id=upload(tenant, completions(100)),  # a batch for each fifty examples
        requested_hyperparameters={"n_epochs": "auto", "learning_rate_multiplier": 2.0},
        seed=7,
        suffix="mine",
    )
    settings = job.spec["settings"]
    ours = resolve_auto(
        examples=100, parameters=base.parameters, method="lora", learning_rate_multiplier=2.0
    )
    assert (settings["epochs"], settings["batch_size"]) == (ours.n_epochs, ours.batch_size)
    assert (settings["learning_rate"], settings["seed"]) == (ours.learning_rate, 7)
    assert settings["max_length"] == base.context_length
    assert (job.state, job.queue, job.spec["suffix"]) == ("queued", "train.cpu", "mine")


def test_where_and_by_when_a_job_was_asked_for_stays_with_it(base: BaseModel) -> None:
    asked = submit(make_tenant(), device="cpu", deadline_s=86400.0).spec
    assert (asked["device"], asked["deadline_s"]) == ("cpu", 86400.0)
    left_to_us = submit(make_tenant(), device="any").spec
    assert not {"device", "deadline_s"} & set(left_to_us)


def test_what_was_left_to_us_is_explained_and_nothing_else(base: BaseModel) -> None:
    def told(**spec: Any) -> dict[str, Any]:
        job = submit(make_tenant(), **spec)
        with system_scope():
            found = [row.data["chosen"] for row in job.events.all() if "chosen" in row.data]
        (chosen,) = found
        assert chosen == {name: job.spec["settings"][name] for name in chosen}
        return dict(chosen)

    ours = {"epochs", "batch_size", "learning_rate", "max_length"}
    assert set(told()) == ours
    assert set(told(settings=dict.fromkeys(ours, "auto"))) == ours
    assert set(told(settings={"epochs": 2, "learning_rate": 1e-3})) == {"batch_size", "max_length"}
    asked = {"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 3.0}
    assert set(told(requested_hyperparameters=asked)) == {"learning_rate", "max_length"}
    job = submit(make_tenant())
    (line,) = [line for line in messages_of(job.id) if line.startswith("Chosen")]
    assert "epochs 3 (the usual number of passes)" in line
    assert "batch_size 1 (one for every 50 examples, 1 to 64)" in line


def test_a_job_its_event_and_its_audit_row_commit_together(base: BaseModel) -> None:
    tenant = make_tenant()
    job = submit(tenant)
    with system_scope():
        assert OutboxEvent.objects.filter(name="job.queued", aggregate_id=job.id).count() == 1
        assert AuditEntry.objects.filter(action="job.submit", target=job.id).count() == 1


@pytest.mark.parametrize(
    ("spec", "param"),
    [
        ({"settings": {"learning_rate": math.nan}}, "learning_rate"),
        ({"settings": {"learning_rate": -1.0}}, "learning_rate"),
        ({"settings": {"epochs": 0}}, "epochs"),
        ({"settings": {"nonsense": 1}}, "nonsense"),
        ({"requested_hyperparameters": {"n_epochs": 0}}, "n_epochs"),
        ({"requested_hyperparameters": {"n_epochs": "many"}}, "n_epochs"),
        ({"requested_hyperparameters": {"rank": 3}}, "hyperparameters"),
        ({"model": "no-such-model"}, "model"),
        ({"training_file_id": "file-nowhere"}, "training_file"),
        ({"method": "sorcery"}, "method"),
        ({"suffix": "x" * 65}, "suffix"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_queued(
    base: BaseModel, spec: dict[str, Any], param: str
) -> None:
    with pytest.raises(BreakwaterError) as raised:
        submit(make_tenant(), **spec)
    assert raised.value.status in {400, 404}
    assert raised.value.param == param, raised.value
    with system_scope():
        assert not Job.objects.exists()


def test_bad_rows_are_named_by_their_lines(base: BaseModel) -> None:
    tenant = make_tenant()
    file_id = upload(tenant, [*completions(3), {"prompt": "no completion"}])
    with pytest.raises(BreakwaterError, match="line 4") as raised:
        submit(tenant, training_file_id=file_id)
    assert (raised.value.param, raised.value.status) == ("training_file", 400)


def test_anothers_file_and_job_do_not_exist(base: BaseModel) -> None:
    ours, theirs = make_tenant(), make_tenant()
    with pytest.raises(NotFound):
        submit(theirs, training_file_id=upload(ours, completions(4)))
    job = submit(ours)
    with tenant_scope(theirs.id):
        for change in (job_cancel, job_pause, job_resume):
            with pytest.raises(NotFound):
                change(actor=actor_of(theirs), job_id=job.id)
        with pytest.raises(NotFound):
            job_get(job.id)
        assert jobs_page() == ([], False)


def test_viewers_and_suspended_tenants_start_nothing(base: BaseModel) -> None:
    tenant = make_tenant(status="suspended")
    with pytest.raises(PermissionDenied) as raised:
        submit(tenant)
    assert raised.value.code == "tenant_suspended"
    viewer = Actor(ActorKind.MEMBER, "u", tenant.id, permissions(Role.VIEWER), Role.VIEWER)
    with tenant_scope(tenant.id), pytest.raises(PermissionDenied):
        job_submit(actor=viewer, kind=Kind.FINE_TUNE, spec={"model": BASE_ID})


@pytest.mark.parametrize(
    ("state", "change", "after"),
    [
        (State.QUEUED, job_cancel, State.CANCELLED),
        (State.QUEUED, job_pause, State.PAUSED),
        (State.RUNNING, job_cancel, State.CANCELLING),
        (State.RUNNING, job_pause, State.PAUSING),
        (State.PAUSING, job_cancel, State.CANCELLING),
        (State.PAUSED, job_resume, State.QUEUED),
        (State.PAUSING, job_resume, State.RUNNING),
        (State.PAUSED, job_cancel, State.CANCELLED),
        (State.CANCELLED, job_cancel, State.CANCELLED),
        (State.CANCELLING, job_cancel, State.CANCELLING),
        (State.PAUSED, job_pause, State.PAUSED),
        (State.SUCCEEDED, job_cancel, None),
        (State.SUCCEEDED, job_pause, None),
        (State.FAILED, job_resume, None),
        (State.CANCELLING, job_pause, None),
    ],
)
def test_what_customers_may_ask_of_a_job(state: State, change: Any, after: State | None) -> None:
    tenant = make_tenant()
    job = queued_job(tenant)
    with system_scope():
        Job.objects.filter(pk=job.id).update(state=state)
    with tenant_scope(tenant.id):
        if after is None:
            with pytest.raises(Conflict):
                change(actor=actor_of(tenant), job_id=job.id)
        else:
            change(actor=actor_of(tenant), job_id=job.id)
    assert job_row(job.id).state == (after or state)


def test_pages_go_from_new_to_old() -> None:
    tenant = make_tenant()
    ids = [queued_job(tenant).id for _ in range(5)]
    with tenant_scope(tenant.id):
        first, more = jobs_page(limit=3)
        rest, end = jobs_page(limit=3, after=first[-1].id)
    assert [job.id for job in first + rest] == ids[::-1]
    assert (more, end) == (True, False)


def test_metadata_has_openais_bounds(base: BaseModel) -> None:
    tenant = make_tenant()
    for bad in ({str(n): "" for n in range(17)}, {"k": "v" * 513}, {"k" * 65: ""}, {"k": 1}):
        with tenant_scope(tenant.id), pytest.raises(BreakwaterError) as raised:
            job_submit(
                actor=actor_of(tenant),
                kind=Kind.FINE_TUNE,
                spec={"model": BASE_ID},
                metadata=bad,  # type: ignore[arg-type]
            )
        assert raised.value.param == "metadata"


@pytest.mark.parametrize("stopped", [True, False])
def test_a_resume_against_a_pause_leaves_one_attempt_and_a_queue_that_moves(stopped: bool) -> None:
    """Whether the worker has stopped for the pause or not, no attempt is left open behind it."""
    tenant = make_tenant()
    job = queued_job(tenant)
    lease = claimed(make_worker()).lease
    with tenant_scope(tenant.id):
        job_pause(actor=actor_of(tenant), job_id=job.id)
        job_resume(actor=actor_of(tenant), job_id=job.id)
    if not stopped:
        assert renew(lease=lease, lease_s=30) is Orders.GO
    job_paused(lease=lease) if stopped else job_hand_back(lease=lease)
    assert claimed(make_worker()).lease.job_id == job.id
    assert [a.ended_at is None for a in attempts_of(job.id)] == [False, True]


def test_a_cancel_against_completion_ends_once() -> None:
    """The customer cancels while the last transaction is on its way: whoever is first, one end."""
    from workers.jobs.outcomes import Made, job_finish

    tenant = make_tenant()
    job = queued_job(tenant)
    lease = claimed(make_worker()).lease
    with tenant_scope(tenant.id):
        job_cancel(actor=actor_of(tenant), job_id=job.id)
    job_finish(lease=lease, make=lambda _: Made())
    assert job_row(job.id).state == State.SUCCEEDED
    with tenant_scope(tenant.id), pytest.raises(Conflict):
        job_cancel(actor=actor_of(tenant), job_id=job.id)
