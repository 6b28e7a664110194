"""Leases, tokens and endings, against a real database."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections

from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, FencedOut
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import system_scope
from tenants.usage.ingestion import NewUsage
from tenants.usage.models import UsageEvent
from tests.workers.jobs.factories import (
    attempts_of,
    claimed,
    job_row,
    make_tenant,
    make_worker,
    queued_job,
)
from workers.jobs import fencing, leases, outcomes
from workers.jobs.claims import Claim, claim
from workers.jobs.fencing import Lease
from workers.jobs.kinds import FailureKind
from workers.jobs.leases import Line, Orders, Standing, job_beat, renew
from workers.jobs.models import Attempt, Checkpoint, Job, Snapshot
from workers.jobs.outcomes import (
    Made,
    checkpoint_commit,
    job_cancelled,
    job_fail,
    job_finish,
    job_hand_back,
    job_paused,
    job_steady,
    snapshot_commit,
)
from workers.jobs.reaper import leases_reap
from workers.jobs.states import State

pytestmark = pytest.mark.django_db


class Object:
    """A sealed object that is only named."""

    def __init__(self, key: str) -> None:
        self.key, self.bytes, self.sha256 = key, 1, "0" * 64


def usage(job_id: str, start: int, stop: int) -> NewUsage:
    return NewUsage(
        meter="tokens.trained",
        quantity=Decimal(stop - start),
        event_time=now(),
        source="jobs",
        key=f"{job_id}:{start}-{stop}",
        dimensions={"model": "m", "base": "b", "job_id": job_id},
    )


def trained_tokens(job_id: str) -> int:
    with system_scope():
        rows = UsageEvent.objects.filter(dimensions__job_id=job_id)
        return int(sum(row.quantity for row in rows))


def succeed(lease: Lease) -> None:
    job_finish(lease=lease, make=lambda _: Made({"metrics": {}}))


ERROR = {"code": "boom", "message": "it broke", "param": None}

# Every write that a worker can make under its lease.
WRITES: dict[str, Callable[[Lease], Any]] = {
    "renew": lambda lease: renew(lease=lease, lease_s=30),
    "job_beat": lambda lease: job_beat(
        lease=lease, standing=Standing(step=99, steps=100), lines=[Line("from beyond")]
    ),
    "snapshot_commit": lambda lease: snapshot_commit(
        lease=lease, step=7, stored=Object("k"), usage=[usage(lease.job_id, 0, 7)]
    ),
    "checkpoint_commit": lambda lease: checkpoint_commit(
        lease=lease, step=7, metrics={}, make=lambda _: ("mv_1", "ft:x")
    ),
    "job_steady": lambda lease: job_steady(lease=lease),
    "job_finish": succeed,
    "job_fail": lambda lease: job_fail(lease=lease, failure=FailureKind.CUSTOMER, error=ERROR),
    "job_fail_platform": lambda lease: job_fail(
        lease=lease, failure=FailureKind.PLATFORM, error=ERROR
    ),
    "job_hand_back": lambda lease: job_hand_back(lease=lease),
    "job_paused": lambda lease: job_paused(lease=lease),
    "job_cancelled": lambda lease: job_cancelled(lease=lease),
}


def expire(lease: Lease) -> None:
    """Let the lease run out, as the database's clock sees it."""
    with system_scope():
        Attempt.objects.filter(pk=lease.attempt_id).update(
            lease_expires_at=now() - dt.timedelta(seconds=1)
        )


def taken_over() -> tuple[Claim, Claim]:
    """A lost worker's claim, and the one that carries on with its job."""
    tenant, worker = make_tenant(), make_worker()
    queued_job(tenant)
    lost = claimed(worker)
    expire(lost.lease)
    assert leases_reap() == 1
    with system_scope():
        Job.objects.update(available_at=now() - dt.timedelta(seconds=1))
    return lost, claimed(make_worker())


def world(job_id: str) -> dict[str, Any]:
    """All that a worker's write could change."""
    with system_scope():
        job = Job.objects.filter(pk=job_id).values().get()
        return {
            "job": job,
            "attempts": list(Attempt.objects.filter(job_id=job_id).order_by("id").values()),
            "snapshots": list(Snapshot.objects.values()),
            "checkpoints": list(Checkpoint.objects.values()),
            "usage": list(UsageEvent.objects.values()),
            "events": OutboxEvent.objects.count(),
        }


def bounces(write: Callable[[Lease], Any]) -> bool:
    """Whether a lost worker's write is refused and leaves no trace."""
    lost, successor = taken_over()
    before = world(lost.lease.job_id)
    try:
        write(lost.lease)
    except FencedOut:
        return world(lost.lease.job_id) == before and successor.lease.token > lost.lease.token
    return False


@pytest.mark.parametrize("name", WRITES)
def test_a_lost_workers_writes_bounce(name: str) -> None:
    assert bounces(WRITES[name])


@pytest.mark.parametrize("name", WRITES)
def test_the_same_test_fails_with_the_fence_switched_off(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fencing, "token_holds", lambda *_: True)
    try:
        bounced = bounces(WRITES[name])
    except Conflict:  # only the state machine stood in the way
        bounced = False
    assert not bounced


@pytest.mark.parametrize("name", WRITES)
def test_after_its_own_end_an_attempt_writes_no_more(name: str) -> None:
    queued_job(make_tenant())
    lease = claimed(make_worker()).lease
    succeed(lease)
    before = world(lease.job_id)
    if (
        name == "job_finish"
    ):  # its acknowledgement may have been lost: said again, it changes nothing
        WRITES[name](lease)
    else:
        with pytest.raises(FencedOut):
            WRITES[name](lease)
    assert world(lease.job_id) == before


def test_two_claimers_at_once_never_get_one_job() -> None:
    # given twenty jobs of five tenants, and eight claimers that start together
    for _ in range(5):
        tenant = make_tenant(max_running_jobs=100)
        for _ in range(4):
            queued_job(tenant)
    worker = make_worker()
    start, taken, errors = threading.Barrier(8), [], []

    def claimer() -> None:
        start.wait()
        try:
            while found := claim(worker_id=worker.id, slot=0, queue="train.cpu", lease_s=30):
                taken.append(found.lease.job_id)
        except Exception as error:  # noqa: BLE001 -- shown below
            errors.append(error)
        finally:
            connections["system"].close()

    threads = [threading.Thread(target=claimer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # then each job was claimed by exactly one
    assert not errors
    assert (len(taken), len(set(taken))) == (20, 20)


def test_a_tenants_cap_holds_against_claimers_at_once() -> None:
    tenant, worker = make_tenant(max_running_jobs=3), make_worker()
    for _ in range(12):
        queued_job(tenant)
    start, taken = threading.Barrier(8), []

    def claimer() -> None:
        start.wait()
        if found := claim(worker_id=worker.id, slot=0, queue="train.cpu", lease_s=30):
            taken.append(found)
        connections["system"].close()

    threads = [threading.Thread(target=claimer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 3


def test_a_heartbeat_extends_the_lease_and_brings_the_orders() -> None:
    queued_job(make_tenant())
    lease = claimed(make_worker(), lease_s=5).lease
    before = attempts_of(lease.job_id)[0].lease_expires_at
    assert renew(lease=lease, lease_s=60) is Orders.GO
    assert attempts_of(lease.job_id)[0].lease_expires_at > before + dt.timedelta(seconds=30)
    with system_scope():
        Job.objects.update(state=State.PAUSING)
    assert renew(lease=lease, lease_s=60) is Orders.PAUSE
    with system_scope():
        Job.objects.update(state=State.CANCELLING)
    assert renew(lease=lease, lease_s=60) is Orders.CANCEL
    assert job_beat(lease=lease, standing=None) is Orders.CANCEL


def test_the_reaper_leaves_living_leases_alone() -> None:
    queued_job(make_tenant())
    lease = claimed(make_worker()).lease
    assert leases_reap() == 0
    assert renew(lease=lease, lease_s=30) is Orders.GO


@pytest.mark.parametrize(
    ("state", "after", "outcome"),
    [
        (State.RUNNING, State.QUEUED, "lost"),
        (State.PAUSING, State.PAUSED, "lost"),
        (State.CANCELLING, State.CANCELLED, "lost"),
    ],
)
def test_a_lost_worker_leaves_the_job_where_its_orders_meant_it(
    state: State, after: State, outcome: str
) -> None:
    job = queued_job(make_tenant())
    lease = claimed(make_worker()).lease
    with system_scope():
        Job.objects.update(state=state)
    expire(lease)
    assert leases_reap() == 1
    assert leases_reap() == 0
    assert job_row(job.id).state == after
    assert [a.outcome for a in attempts_of(job.id)] == [outcome]


def test_a_poison_job_fails_after_its_cap() -> None:
    job = queued_job(make_tenant())
    for _ in range(5):
        with system_scope():
            Job.objects.update(available_at=now() - dt.timedelta(seconds=1))
        expire(claimed(make_worker()).lease)
        leases_reap()
    row = job_row(job.id)
    assert (row.state, row.error["code"], row.attempts_made) == ("failed", "worker_lost", 5)


def test_progress_forgives_earlier_losses() -> None:
    job = queued_job(make_tenant())
    for step in range(1, 9):  # more losses than the cap, but a snapshot in each attempt
        with system_scope():
            Job.objects.update(available_at=now() - dt.timedelta(seconds=1))
        lease = claimed(make_worker()).lease
        snapshot_commit(lease=lease, step=step, stored=Object(f"k{step}"))
        expire(lease)
        leases_reap()
    assert job_row(job.id).state == State.QUEUED


def test_work_repeated_after_a_loss_is_sold_once() -> None:
    job = queued_job(make_tenant())
    first = claimed(make_worker()).lease
    snapshot_commit(
        lease=first,
        step=20,
        stored=Object("a"),
        usage=[usage(job.id, 0, 10), usage(job.id, 10, 20)],
    )
    expire(first)
    leases_reap()
    with system_scope():
        Job.objects.update(available_at=now() - dt.timedelta(seconds=1))
    second = claimed(make_worker())
    assert second.resume_from == job_row(job.id).resume_from
    job_finish(
        lease=second.lease,
        usage=[usage(job.id, 10, 20), usage(job.id, 20, 30)],  # its first interval again
        make=lambda _: Made(),
    )
    assert trained_tokens(job.id) == 30


def test_a_finish_is_all_or_nothing() -> None:
    job = queued_job(make_tenant())
    lease = claimed(make_worker()).lease

    def breaks(_: Job) -> Made:
        raise RuntimeError("the version could not be written")

    with pytest.raises(RuntimeError):
        job_finish(lease=lease, usage=[usage(job.id, 0, 10)], make=breaks)
    assert (job_row(job.id).state, trained_tokens(job.id)) == (State.RUNNING, 0)
    succeed(lease)
    assert job_row(job.id).state == State.SUCCEEDED


def test_a_handed_back_job_counts_no_failure() -> None:
    job = queued_job(make_tenant())
    for _ in range(8):
        job_hand_back(lease=claimed(make_worker()).lease)
    row = job_row(job.id)
    assert (row.state, row.failures, row.attempts_made) == ("queued", {}, 8)


def test_a_customers_failure_is_final_and_ours_is_tried_again_later() -> None:
    ours, theirs = queued_job(make_tenant()), queued_job(make_tenant())
    worker = make_worker()
    for _ in range(2):
        found = claimed(worker)
        failure = FailureKind.PLATFORM if found.lease.job_id == ours.id else FailureKind.CUSTOMER
        job_fail(lease=found.lease, failure=failure, error=ERROR)
    assert (job_row(ours.id).state, job_row(theirs.id).state) == ("queued", "failed")
    assert job_row(ours.id).available_at > now()
    assert claim(worker_id=worker.id, slot=0, queue="train.cpu", lease_s=30) is None
    assert job_row(theirs.id).error == ERROR


def test_the_standing_never_goes_back() -> None:
    queued_job(make_tenant())
    lease = claimed(make_worker()).lease
    job_beat(lease=lease, standing=Standing(step=5, steps=10, metrics={"loss": 1.0}))
    job_beat(lease=lease, standing=Standing(step=3, steps=10, metrics={"loss": 9.0}))
    row = job_row(lease.job_id)
    assert (row.step, row.metrics) == (5, {"loss": 1.0})


def test_every_write_is_covered() -> None:
    """A new fenced function must join WRITES."""
    public = {
        name
        for module in (leases, outcomes)
        for name, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__
        if not name.startswith("_") and "lease" in getattr(value, "__annotations__", {})
    }
    assert public <= set(WRITES)
