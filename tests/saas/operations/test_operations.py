"""What operators see of the work and its costs, and what they never see of tenants' contents."""

from __future__ import annotations

import datetime as dt

import pytest

from saas.operations.register import operations
from tenants.accounts.models import AuditEntry
from tenants.costs.selectors import cost_totals
from tenants.costs.services import slot_time_record
from tenants.kernel.clock import now
from tenants.kernel.outbox import emit
from tenants.kernel.scope import system_scope
from tests.saas.console.factories import Person, event_add, job_make
from tests.tenants.costs.factories import resource_make, slot_time
from tests.tenants.pricing.books import count
from tests.workers.jobs.factories import claimed, job_row, make_tenant, make_worker, queued_job
from workers.jobs.events import JobQueued
from workers.jobs.fleet import Fleet, fleet, queues
from workers.jobs.models import Attempt, Cohort, Job, Worker
from workers.jobs.states import State
from workers.jobs.workers import worker_heartbeat

pytestmark = pytest.mark.django_db


def spend(person: Person, job: Job, seconds: float) -> str:
    """Slot time of the job from now on, at a cent a second; returns the resource."""
    resource = resource_make((now() - dt.timedelta(days=30), "0.01"))
    started = now()
    entry = slot_time(
        0,
        0,
        resource=resource,
        tenant_id=person.tenant.id,
        job_id=job.pk,
        started_at=started,
        ended_at=started + dt.timedelta(seconds=seconds),
    )
    with system_scope():
        slot_time_record(entries=[entry])
    return resource


def test_the_overview_counts_queues_workers_and_costs(owner: Person, operator: Person) -> None:
    worker = make_worker(slots=4)
    queued_job(owner.tenant)
    queued_job(owner.tenant)
    job = job_row(claimed(worker).lease.job_id)
    worker_heartbeat(worker_id=worker.pk, busy=1)
    spend(owner, job, 10)

    page = operator.get("/operations/")

    with system_scope():
        (queue,) = queues()
        assert (queue.name, queue.waiting, queue.running) == ("train.cpu", 1, 1)
        assert queue.oldest_s is not None
        assert fleet() == Fleet(workers=1, slots=4, busy=1)
    figures = {str(label): value for label, value, _ in page.context["figures"]}
    assert figures["Busy slots"] == "1 / 4"
    assert figures["Running jobs"] == 1
    assert figures["Cost today"] == "0.1000 USD"


def test_a_silent_worker_is_not_counted(operator: Person) -> None:
    worker = make_worker()
    with system_scope():
        Worker.objects.filter(pk=worker.pk).update(heartbeat_at=now() - dt.timedelta(minutes=5))

        assert fleet() == Fleet(workers=0, slots=0, busy=0)


def test_every_list_and_detail_opens(owner: Person, operator: Person) -> None:
    worker = make_worker()
    queued_job(owner.tenant)
    claimed(worker)
    spend(owner, job_make(owner), 5)

    for model in operations._registry:
        where = f"/operations/{model._meta.app_label}/{model._meta.model_name}/"
        assert operator.get(where).status_code == 200, where
        with system_scope():
            row = model._default_manager.first()
        if row is not None and model is not Attempt:
            answer = operator.get(f"{where}{row.pk}/change/")
            assert answer.status_code in {200, 404}, where
    assert operator.get("/operations/costs/", group="tenant", days="7").status_code == 200


def test_costs_add_up_and_are_named_after_tenants(owner: Person, operator: Person) -> None:
    spend(owner, job_make(owner), 10)
    spend(owner, job_make(owner), 20)

    page = operator.get("/operations/costs/", group="tenant")

    with system_scope():
        (total,) = cost_totals()
    assert page.context["totals"] == [("Acme", f"{total.cost.amount:.4f} USD")]
    assert sum(page.context["chart"]["datasets"][0]["data"]) == pytest.approx(0.3)


def test_a_million_tokens_are_shown_three_ways(owner: Person, operator: Person) -> None:
    labels = {"kind": "serve", "base": "mini"}
    resource = resource_make((now() - dt.timedelta(days=30), "0.01"))
    entry = slot_time(
        0, 0, resource=resource, tenant_id=owner.tenant.id, labels=labels,
        started_at=now(), ended_at=now() + dt.timedelta(seconds=70),
    )  # fmt: skip
    with system_scope():
        slot_time_record(entries=[entry])
    count(
        owner.tenant.id, "tokens.output", 1_000_000, at=now(), source="gateway", model="mini",
        base="mini",
    )  # fmt: skip

    chart = operator.get("/operations/costs/").context["economics_chart"]

    assert chart["labels"] == ["Serve · mini"]
    assert [row["data"][0] for row in chart["datasets"]] == pytest.approx([0.7, 1.0, 1.0])


def test_operators_see_that_a_job_runs_but_not_what_is_in_it(
    owner: Person, operator: Person
) -> None:
    job = job_make(
        owner,
        spec={"model": "tiny-1", "suffix": "secret-plan"},
        metadata={"project": "secret-label"},
        error={"code": "diverged", "message": "secret-row"},
        metrics={"loss": 0.123456789},
    )
    event_add(job, "secret-message")

    page = operator.get(f"/operations/jobs/job/{job.pk}/change/").content.decode()

    assert job.pk in page
    assert "Acme" in page
    assert "diverged" in page
    assert "secret" not in page
    assert "0.123456789" not in page


def test_operators_have_no_page_for_files_prompts_keys_or_members() -> None:
    shown = {model._meta.label for model in operations._registry}

    assert shown.isdisjoint(
        {
            "assets.File", "assets.Dataset", "assets.ModelVersion", "accounts.ApiKey",
            "accounts.Member", "accounts.User", "jobs.JobEvent", "jobs.Snapshot", "kernel.DataKey",
        }
    )  # fmt: skip


def test_an_operator_cancels_a_job_and_it_is_on_record(owner: Person, operator: Person) -> None:
    job = job_make(owner, state=State.QUEUED)

    answer = operator.client.post(f"/operations/jobs/job/{job.pk}/do/cancel/", follow=True)

    assert answer.status_code == 200
    with system_scope():
        assert Job.objects.get(pk=job.pk).state == State.CANCELLED
        entry = AuditEntry.objects.get(action="job.cancel")
    assert (entry.actor_kind, entry.actor_id, entry.target) == (
        "operator",
        operator.user.pk,
        job.pk,
    )


def test_the_outbox_shows_what_is_not_delivered(owner: Person, operator: Person) -> None:
    with system_scope():
        emit(JobQueued(tenant_id=owner.tenant.id, job_id="ftjob-1", kind="fine_tune", queue="q"))

    page = operator.get("/operations/kernel/outboxevent/").content.decode()

    assert "job.queued" in page
    assert "ftjob-1" in page


def test_a_cohort_shows_operators_its_members_and_an_owner_none(
    owner: Person, operator: Person
) -> None:
    mine = job_make(owner, state=State.RUNNING, shares_passes=True)
    other = job_row(queued_job(make_tenant()).pk)
    worker = make_worker()
    with system_scope():
        cohort = Cohort.objects.create(
            id="coh_1",
            key="tiny:abc:float32:text_generation",
            queue="train.cpu",
            worker=worker,
            lease_expires_at=now(),
        )
        for number, job in enumerate((mine, other)):
            Attempt.objects.create(
                id=f"att_{number}",
                tenant_id=job.tenant_id,
                job=job,
                number=1,
                token=1,
                worker=worker,
                cohort=cohort,
            )

    for path in (
        "/operations/jobs/cohort/coh_1/change/",
        f"/operations/jobs/job/{mine.pk}/change/",
    ):
        page = operator.get(path).content.decode()
        assert mine.pk in page
        assert other.pk in page
    assert "coh_1" in operator.get("/operations/jobs/cohort/").content.decode()

    page = owner.get(f"/console/jobs/job/{mine.pk}/change/").content.decode()
    assert "Shared passes" in page
    for secret in (other.pk, other.tenant_id, "coh_1"):
        assert secret not in page
