"""Fair order: what it promises, as properties; and that the SQL of the claim says the same."""

from __future__ import annotations

import datetime as dt
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.accounts.models import Tenant
from tenants.kernel.clock import database_now
from tenants.kernel.scope import system_scope
from tests.workers.jobs.factories import claimed, job_row, make_tenant, make_worker, queued_job
from tests.workers.jobs.fair_order import Share, Waiting, fair_order
from workers.jobs.claims import claim
from workers.jobs.kinds import KINDS
from workers.jobs.models import Attempt, Job
from workers.jobs.outcomes import Made, job_finish
from workers.jobs.states import Kind

SHARES = st.builds(
    Share,
    weight=st.integers(1, 5),
    used_s=st.floats(0, 1e5),
    running=st.integers(0, 5),
    max_running=st.integers(1, 5),
)


@given(st.data(), SHARES, SHARES)
def test_priority_never_beats_another_tenants_share(
    data: st.DataObject, poor: Share, rich: Share
) -> None:
    jobs = [
        Waiting("p", "poor", data.draw(st.integers(-10, 10)), 1),
        Waiting("r", "rich", data.draw(st.integers(-10, 10)), 0),
    ]
    order = fair_order(jobs, {"poor": poor, "rich": rich})
    if len(order) == 2 and poor.score < rich.score:
        assert order[0].job_id == "p"


@given(
    SHARES, st.lists(st.tuples(st.integers(-10, 10), st.integers(0, 99)), unique_by=lambda x: x[1])
)
def test_within_a_tenant_priority_goes_first_then_age(
    share: Share, jobs: list[tuple[int, int]]
) -> None:
    waiting = [Waiting(f"j{age:02}", "t", priority, age) for priority, age in jobs]
    order = fair_order(waiting, {"t": share})
    if share.running >= share.max_running:
        assert order == []
    else:
        assert order == sorted(waiting, key=lambda job: (-job.priority, job.age_rank))


@given(st.integers(1, 1000), st.integers(1, 4), st.integers(1, 4))
def test_a_crowd_delays_another_tenants_first_job_by_one_slot_at_most(
    crowd: int, slots: int, weight: int
) -> None:
    """One tenant fills every slot from its crowd; then another comes: the next free slot is its."""
    shares = {"crowd": Share(weight=weight, running=slots, max_running=10**6), "other": Share()}
    jobs = [Waiting(f"c{n:04}", "crowd", 10, n) for n in range(crowd)]
    jobs.append(Waiting("o", "other", -10, crowd))
    assert fair_order(jobs, shares)[0].job_id == "o"


@given(st.integers(1, 5), st.integers(1, 5))
def test_slots_are_shared_by_weight(a: int, b: int) -> None:
    """With endless work of two tenants, what each has run settles at the ratio of their weights."""
    used, rounds = {"a": 0.0, "b": 0.0}, 400
    jobs = [Waiting("ja", "a", 0, 0), Waiting("jb", "b", 0, 1)]
    for _ in range(rounds):
        shares = {"a": Share(weight=a, used_s=used["a"]), "b": Share(weight=b, used_s=used["b"])}
        used[fair_order(jobs, shares)[0].tenant_id] += 10
    assert abs(used["a"] / (used["a"] + used["b"]) - a / (a + b)) < 0.02


pytest_db = pytest.mark.django_db


@pytest_db
def test_a_tenant_with_many_queued_jobs_delays_anothers_first_by_one_slot() -> None:
    crowd, other, worker = make_tenant(max_running_jobs=100), make_tenant(), make_worker()
    for _ in range(50):
        queued_job(crowd, priority=10)
    first = [claimed(worker) for _ in range(3)]
    assert {c.lease.tenant_id for c in first} == {crowd.id}
    job = queued_job(other, priority=-10)
    assert claimed(worker).lease.job_id == job.id


@pytest_db
@pytest.mark.parametrize("seed", range(6))
def test_claims_come_in_the_fair_order(seed: int) -> None:
    """Random tenants, weights, histories: each claim equals the pure function's choice."""
    rng = random.Random(seed)
    worker = make_worker()
    tenants = [
        make_tenant(weight=rng.randint(1, 4), max_running_jobs=rng.randint(1, 3)) for _ in range(4)
    ]
    for tenant in tenants:
        _history(tenant, worker.id, rng)
    for _ in range(15):
        queued_job(rng.choice(tenants), priority=rng.randint(-2, 2))
    while expected := fair_order(_waiting(), _shares(tenants)):
        assert claimed(worker).lease.job_id == expected[0].job_id
    assert claim(worker_id=worker.id, slot=0, queue="train.cpu", lease_s=30) is None


@pytest_db
def test_jobs_outside_the_cap_neither_count_nor_wait() -> None:
    tenant, worker = make_tenant(max_running_jobs=1), make_worker()
    for _ in range(3):
        queued_job(tenant, kind=Kind.SERVE, queue="serve.cpu")
    assert not KINDS[Kind.SERVE].within_cap
    for _ in range(3):
        claimed(worker, queue="serve.cpu")
    job = queued_job(tenant)
    assert claimed(worker).lease.job_id == job.id
    queued_job(tenant)
    assert claim(worker_id=worker.id, slot=0, queue="train.cpu", lease_s=30) is None


@pytest_db
def test_a_suspended_tenants_jobs_wait() -> None:
    tenant, worker = make_tenant(status="suspended"), make_worker()
    queued_job(tenant)
    assert claim(worker_id=worker.id, slot=0, queue="train.cpu", lease_s=30) is None


@pytest_db
def test_a_queue_is_never_given_anothers_job() -> None:
    tenant, worker = make_tenant(), make_worker()
    job = queued_job(tenant, queue="train.gpu")
    assert claim(worker_id=worker.id, slot=0, queue="train.cpu", lease_s=30) is None
    assert claimed(worker, queue="train.gpu").lease.job_id == job.id
    assert job_row(job.id).attempts_made == 1


def _history(tenant: Tenant, worker_id: str, rng: random.Random) -> None:
    """A finished job of some minutes within the window, far enough from others to make no tie."""
    job = queued_job(tenant)
    found = claim(worker_id=worker_id, slot=0, queue="train.cpu", lease_s=30)
    assert found is not None
    job_finish(lease=found.lease, make=lambda _: Made())
    with system_scope():
        ended = database_now() - dt.timedelta(minutes=rng.randint(1, 5))
        Attempt.objects.filter(job_id=job.id).update(
            ended_at=ended, started_at=ended - dt.timedelta(seconds=rng.randint(1, 100) * 7)
        )


def _waiting() -> list[Waiting]:
    with system_scope():
        rows = Job.objects.filter(state="queued").order_by("queued_at", "id")
        return [Waiting(row.id, row.tenant_id, row.priority, n) for n, row in enumerate(rows)]


def _shares(tenants: list[Tenant]) -> dict[str, Share]:
    """Each tenant's standing, computed here from the rows and not by the claim's SQL."""
    shares = {}
    with system_scope():
        now = database_now()
        for tenant in tenants:
            attempts = list(Attempt.objects.filter(tenant_id=tenant.id))
            shares[tenant.id] = Share(
                weight=tenant.weight,
                used_s=sum(((a.ended_at or now) - a.started_at).total_seconds() for a in attempts),
                running=sum(a.ended_at is None for a in attempts),
                max_running=tenant.max_running_jobs,
            )
    return shares
