"""What a job costs: charged as it goes on, and settled once at its end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest

from tenants.accounts.models import Tenant
from tenants.kernel.clock import now
from tenants.kernel.errors import InsufficientCredit
from tenants.kernel.models import OutboxEvent
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.selectors import holds_open, unbalanced
from tenants.ledger.services import hold_place, wallet_change
from tenants.pricing.models import ChargeLine
from tests.credit import credit_give
from tests.workers.jobs.factories import actor_of, claimed, job_row, make_worker, queued_job
from tests.workers.jobs.money import (
    TRAINED,
    balance,
    cancelled_at_work,
    cancelled_while_paused,
    charged,
    charges,
    customers_failure,
    platforms_failure,
    tokens_of,
    trained,
    work,
    worker_lost_too_often,
)
from tests.workers.tasks.factories import BASE_ID, submit_fine_tune
from workers.jobs.claims import Claim
from workers.jobs.fencing import Lease
from workers.jobs.models import Attempt, Job, JobEvent
from workers.jobs.outcomes import Made, job_finish, job_paused
from workers.jobs.reaper import leases_reap
from workers.jobs.services import job_cancel, job_resume
from workers.jobs.states import Kind, State

pytestmark = pytest.mark.django_db


def test_tax_is_held_and_charged_on_top(tenant: Tenant) -> None:
    with system_scope():
        wallet_change(tenant_id=tenant.id, currency="USD", tax_rate=Decimal("0.19"))
    job = submit_fine_tune(tenant, validation=False)
    tokens = 2 * tokens_of(tenant)
    claim = claimed(make_worker())
    job_finish(lease=claim.lease, usage=[trained(job.id, 0, 10, tokens)], make=lambda _: Made())

    row = job_row(job.id)
    assert row.charged == tokens * TRAINED
    assert row.charged_tax == row.charged * Decimal("0.19")
    assert balance(tenant).available.amount == 1000 - row.charged - row.charged_tax


def test_it_is_charged_as_it_goes_on_and_what_is_left_of_the_hold_is_given_back(
    tenant: Tenant,
) -> None:
    job = submit_fine_tune(tenant)
    bound = job.bound
    claim = claimed(make_worker())
    work(claim.lease, upto=10, tokens=100)
    row = job_row(job.id)
    assert row.charged == 100 * TRAINED
    assert balance(tenant).available.amount == 1000 - bound  # from the hold
    work(claim.lease, upto=20, tokens=60)
    job_finish(lease=claim.lease, usage=[trained(job.id, 20, 25, 40)], make=lambda _: Made())

    assert job_row(job.id).charged == charged(job.id) == 200 * TRAINED
    assert [row.quote_id for row in charges(job.id)] == [job.quote_id] * 3
    assert balance(tenant).available.amount == 1000 - 200 * TRAINED
    with system_scope():
        assert not holds_open(tenant_id=tenant.id).exists()
        assert unbalanced() == []


def test_what_is_used_beyond_the_bound_is_not_charged(tenant: Tenant) -> None:
    job = submit_fine_tune(tenant)
    claim = claimed(make_worker())
    work(claim.lease, upto=10, tokens=int(job.bound / TRAINED) - 5)
    job_finish(lease=claim.lease, usage=[trained(job.id, 10, 20, 1000)], make=lambda _: Made())

    assert charged(job.id) == job_row(job.id).charged == job.bound
    with system_scope():
        (cap,) = ChargeLine.objects.filter(kind="quote_cap")
    assert cap.net == -995 * TRAINED


@pytest.mark.parametrize(
    ("end", "state", "tokens"),
    [
        (customers_failure, State.FAILED, 107),
        (cancelled_at_work, State.CANCELLED, 107),
        (cancelled_while_paused, State.CANCELLED, 100),
        (platforms_failure, State.FAILED, 0),
        (worker_lost_too_often, State.FAILED, 0),
    ],
)
def test_every_ending_charges_what_was_used_unless_the_failure_was_ours(
    tenant: Tenant, end: Callable[[Lease, str], None], state: State, tokens: int
) -> None:
    job = submit_fine_tune(tenant)
    claim = claimed(make_worker())
    work(claim.lease, upto=10, tokens=100)

    end(claim.lease, job.id)

    row = job_row(job.id)
    assert row.state == state
    assert row.charged == charged(job.id) == tokens * TRAINED
    assert balance(tenant).available.amount == 1000 - tokens * TRAINED
    assert balance(tenant).held.amount == 0
    with system_scope():
        assert unbalanced() == []
        waived = ChargeLine.objects.filter(kind="waiver")
        assert sum(line.net for line in waived) == (0 if tokens else -100 * TRAINED)


def test_an_ending_whose_answer_was_lost_is_not_charged_again(tenant: Tenant) -> None:
    job = submit_fine_tune(tenant)
    claim = claimed(make_worker())
    for _ in range(2):
        work(claim.lease, upto=10, tokens=100)
    for _ in range(2):
        job_finish(lease=claim.lease, usage=[trained(job.id, 10, 20, 50)], make=lambda _: Made())

    assert charged(job.id) == 150 * TRAINED
    assert len(charges(job.id)) == 2


def test_a_job_cancelled_in_the_queue_costs_nothing(tenant: Tenant) -> None:
    job = submit_fine_tune(tenant)
    with tenant_scope(tenant.id):
        job_cancel(actor=actor_of(tenant), job_id=job.id)

    assert charges(job.id) == []
    assert balance(tenant).available.amount == 1000


def test_work_that_an_attempt_repeats_is_charged_once(tenant: Tenant) -> None:
    """The first attempt dies after a snapshot; what it did since is done again."""
    job = submit_fine_tune(tenant)
    claim = claimed(make_worker())
    work(claim.lease, upto=10, tokens=100)
    with system_scope():
        Attempt.objects.update(lease_expires_at=now() - dt.timedelta(seconds=1))
    leases_reap()
    with system_scope():
        Job.objects.update(available_at=now() - dt.timedelta(seconds=1))
    again: Claim = claimed(make_worker())
    work(again.lease, upto=20, tokens=100)
    job_finish(lease=again.lease, make=lambda _: Made())

    assert charged(job.id) == 200 * TRAINED


def batch(tenant: Tenant, held: str) -> Claim:
    """A job of a kind whose bound is not firm, at work with `held` set aside."""
    job = queued_job(
        tenant, kind=Kind.BATCH, quote_id="quote_x", currency="USD", spec={"model": BASE_ID}
    )
    with tenant_scope(tenant.id):
        hold_place(tenant_id=tenant.id, key=f"job:{job.id}", amount=Money.of(held, "USD"))
    return claimed(make_worker())


def test_a_job_without_a_firm_bound_sets_its_next_stretch_aside(tenant: Tenant) -> None:
    claim = batch(tenant, "0.0005")
    work(claim.lease, upto=10, tokens=100)  # 0.0004, and as much again

    with system_scope():
        (hold,) = holds_open(tenant_id=tenant.id)
    assert hold.left == Decimal("0.0004")
    assert job_row(claim.lease.job_id).state == State.RUNNING


def test_and_pauses_where_no_credit_is_left_for_it_until_there_is(tenant: Tenant) -> None:
    claim = batch(tenant, "0.0005")
    job_id = claim.lease.job_id
    with tenant_scope(tenant.id):
        hold_place(tenant_id=tenant.id, key="rest", amount=Money.of("999.9993", "USD"))
    work(claim.lease, upto=10, tokens=100)

    assert job_row(job_id).state == State.PAUSING
    with system_scope():
        line = JobEvent.objects.filter(job_id=job_id, level="warn").get()
        assert OutboxEvent.objects.filter(name="job.out_of_credit").count() == 1
    assert line.data == {"code": "insufficient_credit"}
    assert "Top up" in line.message

    job_paused(lease=claim.lease)
    with tenant_scope(tenant.id), pytest.raises(InsufficientCredit):
        job_resume(actor=actor_of(tenant), job_id=job_id)
    assert job_row(job_id).state == State.PAUSED

    credit_give(tenant.id, "1", key="more")
    with tenant_scope(tenant.id):
        job_resume(actor=actor_of(tenant), job_id=job_id)
    assert job_row(job_id).state == State.QUEUED
