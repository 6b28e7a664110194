"""Who shares passes with whom: asked for, worth it, in fair order; and one lease for all."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, replace
from typing import Any

import pytest
from django.db import IntegrityError

from tenants.accounts.actors import system_actor
from tenants.accounts.models import Tenant
from tenants.kernel.clock import now
from tenants.kernel.errors import FencedOut
from tenants.kernel.scope import system_scope, tenant_scope
from tests.workers.jobs.factories import (
    attempts_of,
    claimed,
    job_row,
    make_tenant,
    make_worker,
)
from tests.workers.tasks.cohorts import PROFILE, measure_base, reset_back_off, sharing_tenant
from tests.workers.tasks.factories import submit_fine_tune
from workers.assets.models import BaseModel
from workers.jobs.claims import Claim, claim
from workers.jobs.cohorts import Room, cohort_end, cohort_join, cohort_renew
from workers.jobs.kinds import FailureKind
from workers.jobs.leases import Orders
from workers.jobs.models import Attempt, Cohort, Job, Worker
from workers.jobs.outcomes import Made, job_fail, job_finish
from workers.jobs.reaper import leases_reap
from workers.jobs.services import job_cancel, job_pause
from workers.jobs.states import State

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _measured(tenant: Tenant) -> None:
    del tenant  # brings the base
    measure_base()


def fine_tune(tenant: Tenant | None = None, **settings: Any) -> Job:
    return submit_fine_tune(tenant or sharing_tenant(), validation=False, **settings)


def opened(worker: Worker | None = None, *, at_most: int = 16) -> Room:
    """The queue's next job, which has opened a cohort, and its room for more."""
    first = claimed(worker or make_worker(slots=1))
    assert first.cohort_id
    return Room(first, [first], at_most)


def ids(claims: list[Claim]) -> list[str]:
    return [each.lease.job_id for each in claims]


def test_who_waits_and_fits_comes_in_under_one_lease_with_tokens_of_their_own() -> None:
    jobs = [fine_tune() for _ in range(3)]
    room = opened()
    assert ids(cohort_join(room)) == [job.id for job in jobs[1:]]
    for job in jobs:
        (attempt,) = attempts_of(job.id)
        assert (attempt.cohort_id, attempt.lease_expires_at) == (room.first.cohort_id, None)
        assert (attempt.token, job_row(job.id).token) == (1, 1)
        assert job_row(job.id).shares_passes
    assert cohort_join(room) == []


@pytest.mark.parametrize(
    "asked",
    [
        {"method": "full"},
        {"batch_size": 24, "micro_batch_tokens": 100_000, "rows": 400},
    ],
    ids=["no adapter", "updates so large that nothing is saved"],
)
def test_what_cannot_share_or_is_not_worth_it_runs_alone(asked: dict[str, Any]) -> None:
    large = {"segment_s": 0.0095} if "rows" in asked else {}
    with system_scope():
        BaseModel.objects.update(profile=asdict(replace(PROFILE, **large)))
    assert fine_tune(**asked).cohort_key == ""
    assert claimed(make_worker(slots=1)).cohort_id == ""


def test_without_a_measurement_nobody_shares() -> None:
    with system_scope():
        BaseModel.objects.update(profile={})
    assert fine_tune().cohort_key == ""
    with system_scope():
        BaseModel.objects.update(profile=asdict(replace(PROFILE, segment_s=None)))
    assert fine_tune().cohort_key == ""


def test_what_was_measured_on_a_cpu_says_nothing_of_a_gpu() -> None:
    jobs = [fine_tune() for _ in range(2)]
    with system_scope():
        Job.objects.update(queue="train.gpu")
    first = claimed(make_worker(slots=1, worker_class="gpu"), queue="train.gpu")
    assert first.cohort_id
    assert cohort_join(Room(first, [first], at_most=16)) == []
    assert job_row(jobs[1].id).state == State.QUEUED


def test_only_who_has_agreed_shares() -> None:
    mine = fine_tune(make_tenant())
    assert mine.cohort_key
    worker = make_worker(slots=1)
    alone = claimed(worker)
    assert (alone.lease.job_id, alone.cohort_id) == (mine.id, "")
    fine_tune()
    fine_tune(make_tenant())
    assert cohort_join(opened(worker)) == []


def test_an_agreement_that_ends_holds_from_the_next_attempt_on() -> None:
    tenant = sharing_tenant()
    fine_tune(), fine_tune(tenant)
    with system_scope():
        Tenant.objects.filter(pk=tenant.id).update(shares_passes=False)
    assert cohort_join(opened()) == []


def test_another_base_never_comes_in() -> None:
    fine_tune()
    other = fine_tune()
    with system_scope():
        Job.objects.filter(pk=other.id).update(cohort_key="other:abc:float32:text_generation")
    assert cohort_join(opened()) == []


def test_who_failed_since_its_last_snapshot_runs_alone() -> None:
    first, second = fine_tune(), fine_tune()
    worker = make_worker(slots=1)
    room = opened(worker)
    (joined,) = cohort_join(room)
    for member in (room.first, joined):
        error = {"code": "x", "message": "the child ended", "param": None}
        job_fail(lease=member.lease, failure=FailureKind.PLATFORM, error=error)
    cohort_end(cohort_id=room.first.cohort_id)
    reset_back_off()
    again = [claimed(worker) for _ in range(2)]
    assert sorted(ids(again)) == sorted([first.id, second.id])
    assert [each.cohort_id for each in again] == ["", ""]


def test_a_free_slot_takes_a_job_sooner_than_a_running_cohort() -> None:
    jobs = [fine_tune() for _ in range(4)]
    room = opened(make_worker(slots=2))  # one slot is left for the next
    assert len(cohort_join(room)) == 2
    assert job_row(jobs[-1].id).state == State.QUEUED


def test_caps_and_the_cohorts_own_bound_hold() -> None:
    tenant = sharing_tenant(max_running_jobs=1)
    fine_tune(tenant), fine_tune(tenant)
    others = [fine_tune() for _ in range(3)]
    room = opened(at_most=3)
    assert ids(cohort_join(room)) == [job.id for job in others[:2]]


def test_memory_bounds_a_cohort() -> None:
    fine_tune(), fine_tune()
    worker = make_worker(slots=1)
    with system_scope():
        Worker.objects.filter(pk=worker.id).update(memory_bytes=1)
    assert cohort_join(opened(worker)) == []


def test_who_joins_comes_in_fair_order() -> None:
    crowd, other = sharing_tenant(), sharing_tenant()
    fine_tune(crowd)
    second = fine_tune(crowd)
    late = fine_tune(other)
    room = opened()
    assert ids(cohort_join(room)) == [late.id, second.id]


def test_a_cohorts_slot_counts_once_in_its_members_shares() -> None:
    """Two members of an hour's cohort have each used half a slot: less than one alone has."""
    pair, single = [sharing_tenant(), sharing_tenant()], make_tenant()
    for tenant in pair:
        fine_tune(tenant)
    worker = make_worker(slots=1)
    room = opened(worker)
    members = [room.first, *cohort_join(room)]
    fine_tune(single)
    members.append(claimed(worker))
    for member in members:
        job_finish(lease=member.lease, make=lambda _: Made())
    with system_scope():
        Attempt.objects.update(started_at=now() - dt.timedelta(minutes=10))
    waiting = [fine_tune(single), *(fine_tune(tenant) for tenant in pair)]
    order = [claimed(worker).lease.job_id for _ in waiting]
    assert order[-1] == waiting[0].id


def test_one_renewal_holds_for_all_and_brings_each_its_order() -> None:
    jobs = [fine_tune() for _ in range(3)]
    room = opened()
    members = [room.first, *cohort_join(room)]
    for job, change in ((jobs[0], job_cancel), (jobs[1], job_pause)):
        with tenant_scope(job.tenant_id):
            change(actor=system_actor(job.tenant_id), job_id=job.id)
    before = _lease(room)
    wanted = cohort_renew(cohort_id=room.first.cohort_id, lease_s=90)
    assert [wanted[m.lease.attempt_id] for m in members] == [
        Orders.CANCEL,
        Orders.PAUSE,
        Orders.GO,
    ]
    assert _lease(room) > before + dt.timedelta(seconds=30)
    # and whoever was taken over is missing
    with system_scope():
        Job.objects.filter(pk=jobs[2].id).update(token=9)
    assert members[2].lease.attempt_id not in cohort_renew(
        cohort_id=room.first.cohort_id, lease_s=90
    )


def test_a_lease_that_runs_out_ends_the_cohort_and_frees_every_member() -> None:
    jobs = [fine_tune() for _ in range(3)]
    room = opened()
    cohort_join(room)
    assert leases_reap() == 0
    with system_scope():
        Cohort.objects.update(lease_expires_at=now() - dt.timedelta(seconds=1))
    assert leases_reap() == 3
    with pytest.raises(FencedOut):
        cohort_renew(cohort_id=room.first.cohort_id, lease_s=30)
    for job in jobs:
        row = job_row(job.id)
        assert (row.state, row.token, row.failures) == (State.QUEUED, 2, {"platform": 1})
    # nobody joins what has ended
    fine_tune()
    assert cohort_join(room) == []


def test_word_of_a_member_that_was_lost_on_the_way_gives_its_job_back() -> None:
    fine_tune(), fine_tune()
    room = opened()
    (joined,) = cohort_join(room)
    room.members.remove(joined)  # as if the answer had never come
    cohort_join(Room(room.first, room.members, at_most=1))
    assert attempts_of(joined.lease.job_id)[0].outcome == "handed_back"
    assert job_row(joined.lease.job_id).state == State.QUEUED


def test_an_attempt_has_a_lease_of_its_own_or_its_cohorts() -> None:
    fine_tune()
    room = opened()
    with pytest.raises(IntegrityError), system_scope():
        Attempt.objects.filter(cohort_id=room.first.cohort_id).update(lease_expires_at=now())


def test_a_claim_finds_nothing_where_nothing_waits() -> None:
    assert claim(worker_id=make_worker().id, slot=0, queue="train.cpu", lease_s=30) is None


def _lease(room: Room) -> dt.datetime:
    with system_scope():
        return Cohort.objects.get(pk=room.first.cohort_id).lease_expires_at
