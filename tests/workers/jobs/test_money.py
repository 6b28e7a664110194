"""What a job costs: quoted, held, charged as it goes on, and settled once at its end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from tenants.accounts.models import Tenant
from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InsufficientCredit, PermissionDenied
from tenants.kernel.models import OutboxEvent
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.models import Hold
from tenants.ledger.selectors import Balance, holds_open, unbalanced, wallet_balance
from tenants.ledger.services import budget_create, hold_place, wallet_change
from tenants.pricing.models import Charge, ChargeLine, Quote
from tenants.usage.ingestion import NewUsage
from tests.credit import credit_give
from tests.workers.engine.factories import completions
from tests.workers.jobs.factories import (
    actor_of,
    claimed,
    job_row,
    make_tenant,
    make_worker,
    queued_job,
)
from tests.workers.jobs.test_leases import Object
from tests.workers.tasks.factories import BASE_ID, register_base, submit_fine_tune, upload
from workers.assets.models import Dataset
from workers.jobs.claims import Claim
from workers.jobs.fencing import Lease
from workers.jobs.kinds import FailureKind
from workers.jobs.models import Job, JobEvent
from workers.jobs.outcomes import (
    Made,
    job_cancelled,
    job_fail,
    job_finish,
    job_paused,
    snapshot_commit,
)
from workers.jobs.reaper import leases_reap
from workers.jobs.services import job_cancel, job_pause, job_quote, job_resume, job_submit
from workers.jobs.states import Kind, State

pytestmark = pytest.mark.django_db

TRAINED = Decimal("0.000004")  # a token, by the list
ERROR = {"code": "x", "message": "it broke", "param": None}


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    register_base(tmp_path / "base")
    return make_tenant()


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


def test_a_job_holds_its_quotes_upper_bound_which_is_every_epochs_tokens(tenant: Tenant) -> None:
    job = submit_fine_tune(tenant, validation=False, epochs=3)

    expected = 3 * tokens_of(tenant) * TRAINED
    with tenant_scope(tenant.id):
        hold = Hold.objects.get()
        quote = Quote.objects.get(pk=job.quote_id)
    assert (quote.low_net, quote.expected_net, quote.high_net) == (expected,) * 3
    assert (hold.key, hold.amount, hold.expires_at) == (f"job:{job.id}", expected, None)
    assert hold.labels == {"model": BASE_ID}
    assert balance(tenant).available.amount == 1000 - expected
    assert job.bound == expected
    assert Decimal(job.quoted["high"]) == expected


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
    from workers.jobs.models import Attempt

    with system_scope():
        Job.objects.filter(pk=job_id).update(failures={"platform": 4})
        Attempt.objects.update(lease_expires_at=now() - dt.timedelta(seconds=1))
    leases_reap()


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
    from workers.jobs.models import Attempt

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


def fine_tune(tenant: Tenant) -> dict[str, object]:
    """The spec of one fine-tune, with its file uploaded."""
    return {"model": BASE_ID, "training_file_id": upload(tenant, completions(24))}


def test_a_quote_is_what_the_job_then_costs_at_most(tenant: Tenant) -> None:
    spec, actor = fine_tune(tenant), actor_of(tenant)
    with tenant_scope(tenant.id):
        quote = job_quote(actor=actor, kind=Kind.FINE_TUNE, spec=spec)
        assert not Job.objects.exists()
        job = job_submit(actor=actor, kind=Kind.FINE_TUNE, spec=spec, quote_id=quote.id)
    assert (job.quote_id, job.bound) == (quote.id, quote.high_net)


def test_a_quote_of_other_work_or_an_old_one_is_refused(tenant: Tenant) -> None:
    spec, actor = fine_tune(tenant), actor_of(tenant)
    with tenant_scope(tenant.id):
        quote = job_quote(actor=actor, kind=Kind.FINE_TUNE, spec=spec)
    other = spec | {"settings": {"epochs": 7}}
    with tenant_scope(tenant.id), pytest.raises(Conflict) as mismatch:
        job_submit(actor=actor, kind=Kind.FINE_TUNE, spec=other, quote_id=quote.id)
    with tenant_scope(tenant.id):
        quote.pk, quote.expires_at = "quote_old", now()
        quote.save(force_insert=True)
    with tenant_scope(tenant.id), pytest.raises(Conflict) as expired:
        job_submit(actor=actor, kind=Kind.FINE_TUNE, spec=spec, quote_id=quote.id)
    assert (mismatch.value.code, expired.value.code) == ("quote_mismatch", "quote_expired")


def submitted(tenant: Tenant, spec: dict[str, object]) -> Job:
    with tenant_scope(tenant.id):
        return job_submit(actor=actor_of(tenant), kind=Kind.FINE_TUNE, spec=spec)


def test_without_credit_nothing_is_queued(tenant: Tenant) -> None:
    spec = fine_tune(tenant)
    with tenant_scope(tenant.id):
        hold_place(tenant_id=tenant.id, key="all", amount=Money.of("999.999999", "USD"))

    with pytest.raises(InsufficientCredit) as refused:
        submitted(tenant, spec)

    assert (refused.value.code, refused.value.status) == ("insufficient_credit", 402)
    with system_scope():
        assert not Job.objects.exists()
        assert not OutboxEvent.objects.filter(name="job.queued").exists()
        assert Hold.objects.count() == 1


@pytest.mark.parametrize(("subject", "ref"), [("tenant", ""), ("model", BASE_ID)])
def test_beyond_a_hard_budget_nothing_is_queued(tenant: Tenant, subject: str, ref: str) -> None:
    spec = fine_tune(tenant)
    with tenant_scope(tenant.id):
        budget_create(
            actor=actor_of(tenant),
            currency="USD",
            subject=subject,
            ref=ref,
            hard=Money.of("0.000001", "USD"),
        )

    with pytest.raises(InsufficientCredit) as refused:
        submitted(tenant, spec)

    assert (refused.value.code, refused.value.status) == ("budget_exceeded", 402)
    with system_scope():
        assert not Job.objects.exists()


def test_a_suspended_tenant_starts_and_resumes_nothing(tenant: Tenant) -> None:
    spec = fine_tune(tenant)
    job = submitted(tenant, spec)
    with tenant_scope(tenant.id):
        job_pause(actor=actor_of(tenant), job_id=job.id)
    with system_scope():
        Tenant.objects.filter(pk=tenant.id).update(status=Tenant.Status.SUSPENDED)

    with pytest.raises(PermissionDenied, match="suspended"):
        submitted(tenant, spec)
    with tenant_scope(tenant.id), pytest.raises(PermissionDenied, match="suspended"):
        job_resume(actor=actor_of(tenant), job_id=job.id)


def test_the_platforms_own_jobs_are_not_charged(tmp_path: Path) -> None:
    platform = platform_tenant_ensure()
    with system_scope():
        job = job_submit(
            actor=actor_of(platform),
            kind=Kind.SERVE,
            spec={"target": "t", "base_id": "t", "version_id": None},
        )
    assert (job.quote_id, job.currency) == ("", "")


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
