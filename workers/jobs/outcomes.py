"""What an attempt leaves behind: snapshots, checkpoints, and one ending. Each write is one fenced
transaction.

Each function raises FencedOut where the lease no longer holds. One whose acknowledgement was lost
may be called again: what is already there is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.db.models.functions import Now

from tenants.kernel.errors import FencedOut
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from tenants.kernel.scope import tenant_scope
from tenants.usage.ingestion import NewUsage
from workers.jobs.events import JobSucceeded
from workers.jobs.fencing import Lease, job_held
from workers.jobs.kinds import FailureKind
from workers.jobs.models import Attempt, Checkpoint, Job, Snapshot
from workers.jobs.money import job_sell
from workers.jobs.moves import (
    attempt_end,
    job_cancel_now,
    job_fail_now,
    job_look_ahead,
    job_move,
    job_pause_now,
    job_queue,
    job_say,
    job_try_again,
)
from workers.jobs.states import State


class StoredObject(Protocol):
    """A sealed object: where it lies, plaintext bytes and sha256 (workers.assets.storage)."""

    @property
    def key(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class Made:
    """What a finished job made: the name and id of a model version ("" where it makes none)."""

    result: Mapping[str, Any] = field(default_factory=dict)
    model_version_id: str = ""


def snapshot_commit(
    *, lease: Lease, step: int, stored: StoredObject, usage: Sequence[NewUsage] = ()
) -> Snapshot:
    """Let the next attempt start from `stored`, and sell the work up to it.

    Where the price has no firm bound, the next stretch is set aside first; else the job pauses.
    Progress forgives earlier platform failures: only those in a row without any count towards the
    cap.
    """
    with tenant_scope(lease.tenant_id):
        job, attempt = job_held(lease)
        known: Snapshot | None = Snapshot.objects.filter(
            job=job, token=lease.token, step=step
        ).first()
        if known is not None:
            return known
        snapshot: Snapshot = Snapshot.objects.create(
            id=new_id("snap_"),
            tenant_id=lease.tenant_id,
            job=job,
            token=lease.token,
            step=step,
            storage_key=stored.key,
            bytes=stored.bytes,
            sha256=stored.sha256,
        )
        job_sell(job, usage)
        job_look_ahead(job)
        job.resume_from = snapshot.id
        job.failures = {k: n for k, n in job.failures.items() if k != FailureKind.PLATFORM}
        job.save(update_fields=["resume_from", "failures"])
        attempt.to_step = max(attempt.to_step, step)
        attempt.save(update_fields=["to_step"])
        return snapshot


def job_steady(*, lease: Lease) -> None:
    """The attempt has proved itself without a snapshot (a replica that serves): forgive as well."""
    with tenant_scope(lease.tenant_id):
        job, _ = job_held(lease)
        job.failures = {k: n for k, n in job.failures.items() if k != FailureKind.PLATFORM}
        job.save(update_fields=["failures"])


def checkpoint_commit(
    *,
    lease: Lease,
    step: int,
    metrics: Mapping[str, float],
    make: Callable[[Job], tuple[str, str]],
) -> Checkpoint:
    """Keep a usable model of an epoch's end. `make` writes its model version and returns (id,
    name).

    A step that an earlier attempt has already kept stays as it is: the same step is the same model.
    """
    with tenant_scope(lease.tenant_id):
        job, _ = job_held(lease)
        known: Checkpoint | None = Checkpoint.objects.filter(job=job, step=step).first()
        if known is not None:
            return known
        version_id, name = make(job)
        checkpoint: Checkpoint = Checkpoint.objects.create(
            id=new_id("ftckpt_"),
            tenant_id=lease.tenant_id,
            job=job,
            step=step,
            model_version_id=version_id,
            model_name=name,
            metrics=dict(metrics),
        )
        return checkpoint


def job_finish(
    *,
    lease: Lease,
    usage: Sequence[NewUsage] = (),
    make: Callable[[Job], Made],
) -> None:
    """The job's success: result, usage, state, event and the attempt's end, all or nothing.

    `make` writes what the job made (a model version) inside this transaction.
    """
    with tenant_scope(lease.tenant_id):
        held = _held_unless_ended(lease, Attempt.Outcome.SUCCEEDED)
        if held is None:
            return
        job, attempt = held
        made = make(job)
        job_sell(job, usage)
        job_move(
            job,
            State.SUCCEEDED,
            result=dict(made.result),
            step=max(job.step, job.steps),
            finished_at=Now(),
            remaining_s=None,
        )
        attempt_end(attempt, Attempt.Outcome.SUCCEEDED)
        job_say(job, "The job has completed successfully.")
        emit(
            JobSucceeded(
                tenant_id=job.tenant_id,
                job_id=job.id,
                kind=job.kind,
                model_version_id=made.model_version_id or None,
            )
        )


def job_fail(
    *,
    lease: Lease,
    failure: FailureKind,
    error: Mapping[str, Any],
    usage: Sequence[NewUsage] = (),
) -> None:
    """The attempt failed. The customer's failure ends the job; ours is tried again, with a cap.

    `error` holds code, message and param. `usage` is what a customer's failure had used.
    """
    with tenant_scope(lease.tenant_id):
        held = _held_unless_ended(lease, Attempt.Outcome.FAILED)
        if held is None:
            return
        job, attempt = held
        attempt_end(
            attempt, Attempt.Outcome.FAILED, failure=failure, error=str(error.get("message", ""))
        )
        if failure is FailureKind.CUSTOMER:
            job_sell(job, usage)
            job_fail_now(job, failure, error)
        else:
            job_try_again(job, failure, error)


def job_hand_back(*, lease: Lease) -> None:
    """The worker drains: the job waits for another one. No failure; a cancelled job ends here."""
    with tenant_scope(lease.tenant_id):
        held = _held_unless_ended(lease, Attempt.Outcome.HANDED_BACK)
        if held is None:
            return
        job, attempt = held
        attempt_end(attempt, Attempt.Outcome.HANDED_BACK)
        if job.state == State.CANCELLING:
            job_cancel_now(job)
        elif job.state == State.PAUSING:
            job_pause_now(job)
        else:
            job_queue(job)


def job_paused(*, lease: Lease) -> None:
    """The child has stopped on our order to pause; its last snapshot is where it goes on.

    A customer who cancelled meanwhile gets that instead.
    """
    with tenant_scope(lease.tenant_id):
        held = _held_unless_ended(lease, Attempt.Outcome.PAUSED)
        if held is None:
            return
        job, attempt = held
        attempt_end(attempt, Attempt.Outcome.PAUSED)
        if job.state == State.CANCELLING:
            job_cancel_now(job)
        elif job.state == State.PAUSING:
            job_pause_now(job)
        else:
            job_queue(job)


def job_cancelled(*, lease: Lease, usage: Sequence[NewUsage] = ()) -> None:
    """The child has stopped on our order to cancel. What it had used is sold."""
    with tenant_scope(lease.tenant_id):
        held = _held_unless_ended(lease, Attempt.Outcome.CANCELLED)
        if held is None:
            return
        job, attempt = held
        job_sell(job, usage)
        attempt_end(attempt, Attempt.Outcome.CANCELLED)
        job_cancel_now(job)


def _held_unless_ended(lease: Lease, outcome: Attempt.Outcome) -> tuple[Job, Attempt] | None:
    """As `job_held`; None where this very attempt has already ended so: its answer was lost on the
    way.
    """
    try:
        return job_held(lease)
    except FencedOut:
        if Attempt.objects.filter(pk=lease.attempt_id, outcome=outcome).exists():
            return None
        raise
