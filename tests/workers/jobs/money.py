"""Work of a job that costs, what was charged for it, and the ways in which a job ends."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from tenants.accounts.models import Tenant
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.selectors import Balance, holds_open, wallet_balance
from tenants.pricing.models import Charge
from tenants.usage.ingestion import NewUsage
from tests.workers.jobs.factories import actor_of
from tests.workers.jobs.test_leases import Object
from tests.workers.tasks.factories import BASE_ID
from workers.assets.models import Dataset
from workers.jobs.fencing import Lease
from workers.jobs.kinds import FailureKind
from workers.jobs.models import Attempt, Job
from workers.jobs.outcomes import job_cancelled, job_fail, job_paused, snapshot_commit
from workers.jobs.reaper import leases_reap
from workers.jobs.services import job_cancel, job_pause

TRAINED = Decimal("0.000004")  # a token, by the list
ERROR = {"code": "x", "message": "it broke", "param": None}


def balance(tenant: Tenant) -> Balance:
    with tenant_scope(tenant.id):
        return wallet_balance(tenant_id=tenant.id, currency="USD")


def trained(job_id: str, start: int, stop: int, tokens: int) -> NewUsage:
    return NewUsage(
        meter="tokens.trained",
        quantity=Decimal(tokens),
        event_time=now(),
        source="jobs",
        key=f"{job_id}:{start}-{stop}",
        dimensions={"model": BASE_ID, "base": BASE_ID, "job_id": job_id},
    )


def charges(job_id: str) -> list[Charge]:
    with system_scope():
        rows = Charge.objects.filter(subject_kind="job", subject_id=job_id)
        return list(rows.order_by("created_at", "id"))


def charged(job_id: str) -> Decimal:
    return sum((row.net for row in charges(job_id)), Decimal(0))


def tokens_of(tenant: Tenant) -> int:
    with tenant_scope(tenant.id):
        return int(Dataset.objects.get().tokens)


def work(lease: Lease, *, upto: int, tokens: int) -> None:
    """A snapshot at step `upto` of ten steps' work."""
    stored = Object(f"{lease.job_id}/{upto}")
    events = [trained(lease.job_id, upto - 10, upto, tokens)]
    snapshot_commit(lease=lease, step=upto, stored=stored, usage=events)


def customers_failure(lease: Lease, job_id: str) -> None:
    job_fail(
        lease=lease,
        failure=FailureKind.CUSTOMER,
        error=ERROR,
        usage=[trained(job_id, 10, 13, 7)],
    )


def cancelled_at_work(lease: Lease, job_id: str) -> None:
    with tenant_scope(lease.tenant_id):
        job_cancel(actor=actor_of(Tenant(id=lease.tenant_id)), job_id=job_id)
    job_cancelled(lease=lease, usage=[trained(job_id, 10, 13, 7)])


def cancelled_while_paused(lease: Lease, job_id: str) -> None:
    actor = actor_of(Tenant(id=lease.tenant_id))
    with tenant_scope(lease.tenant_id):
        job_pause(actor=actor, job_id=job_id)
    job_paused(lease=lease)
    with tenant_scope(lease.tenant_id):
        assert holds_open(tenant_id=lease.tenant_id).exists()  # it may go on
        job_cancel(actor=actor, job_id=job_id)


def platforms_failure(lease: Lease, job_id: str) -> None:
    with system_scope():
        Job.objects.filter(pk=job_id).update(failures={"platform": 4})
    job_fail(lease=lease, failure=FailureKind.PLATFORM, error=ERROR)


def worker_lost_too_often(lease: Lease, job_id: str) -> None:
    with system_scope():
        Job.objects.filter(pk=job_id).update(failures={"platform": 4})
        Attempt.objects.update(lease_expires_at=now() - dt.timedelta(seconds=1))
    leases_reap()
