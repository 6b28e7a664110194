"""A job is quoted and its upper bound held before it is queued; without credit it is not queued."""

from __future__ import annotations

from dataclasses import asdict
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
from tenants.ledger.services import budget_create, hold_place
from tenants.pricing.models import Quote
from tests.workers.engine.factories import completions
from tests.workers.jobs.factories import actor_of
from tests.workers.jobs.money import TRAINED, balance, tokens_of
from tests.workers.tasks.factories import BASE_ID, submit_fine_tune, upload
from workers.assets.models import BaseModel
from workers.engine.profiles import Profile
from workers.jobs.models import Job
from workers.jobs.services import job_pause, job_quote, job_resume, job_submit
from workers.jobs.states import Kind

pytestmark = pytest.mark.django_db


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


PROFILE = Profile("cpu", "float32", 1, flops=1e9, update_s=0.1, pack_s=0.1, load_s=9, spread=0.2)


@pytest.mark.parametrize(
    ("measured", "device", "told"),
    [(True, "any", True), (True, "cpu", True), (True, "gpu", False), (False, "any", False)],
)
def test_a_quote_tells_a_time_where_it_was_measured(
    tenant: Tenant, measured: bool, device: str, told: bool
) -> None:
    with system_scope():
        BaseModel.objects.update(profile=asdict(PROFILE) if measured else {})
    spec = fine_tune(tenant) | {"device": device}
    with tenant_scope(tenant.id):
        quote = job_quote(actor=actor_of(tenant), kind=Kind.FINE_TUNE, spec=spec)
    if not told:
        assert quote.seconds is None
        return
    low, expected, high = (Decimal(s) for s in quote.seconds)
    assert expected > 9
    assert low < expected < high


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
