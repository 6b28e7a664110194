"""Findings from real rows: found, applied, taken back, refused when stale, closed, measured."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tenants.accounts.actors import Actor, ActorKind, permissions
from tenants.accounts.models import AuditEntry, Tenant
from tenants.accounts.roles import Role
from tenants.costs.models import WasteFinding
from tenants.costs.services import slot_time_record
from tenants.costs.slot_time import SlotTime
from tenants.costs.waste import finding_close
from tenants.kernel.errors import Conflict, NotFound, PermissionDenied
from tenants.kernel.ids import new_id
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import current_scope, system_scope
from tests.tenants.costs.factories import slot_time
from tests.workers.jobs.factories import make_tenant
from tests.workers.waste.factories import (
    ago,
    attempt_make,
    checkpoints_make,
    deployment_forgotten,
    file_make,
    job_make,
    price_gpu,
    price_storage,
    staff,
    worker_make,
)
from workers.assets.models import File, ModelVersion
from workers.jobs.models import Job, Worker
from workers.jobs.services import job_place
from workers.jobs.states import State
from workers.serving.models import Deployment
from workers.waste import services
from workers.waste.actions import version_of
from workers.waste.services import waste_apply, waste_measure, waste_sweep, waste_undo

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _prices() -> None:
    """Storage costs more than tenants pay for it, else it would be no waste of ours."""
    price_gpu(on_demand="0.0007", spot="0.0002")
    price_storage("0.01")


def found(kind: str) -> WasteFinding:
    with system_scope():
        return WasteFinding.objects.get(kind=kind, state="open")


def apply(row: WasteFinding) -> WasteFinding:
    with system_scope():
        return waste_apply(actor=staff(), finding_id=row.id)


def undo(row: WasteFinding) -> WasteFinding:
    with system_scope():
        return waste_undo(actor=staff(), finding_id=row.id)


def events(name: str) -> list[dict[str, object]]:
    with system_scope():
        return list(OutboxEvent.objects.filter(name=name).values_list("payload", flat=True))


def test_a_forgotten_deployment_is_found_put_to_sleep_sooner_and_set_back() -> None:
    row = deployment_forgotten()
    assert waste_sweep() == 1
    finding = found("idle_deployment")
    # eight days awake, 691,200 s, of which 24 calls of a minute each with pauses need far fewer
    assert Decimal(300) < finding.saving < Decimal("0.0007") * 691_200 * 30 / 28
    assert finding.tenant_id == row.tenant_id
    assert finding.evidence["load_s"] == pytest.approx(40, abs=1)
    assert [event["finding_id"] for event in events("waste.found")] == [finding.id]

    applied = apply(finding)
    with system_scope():
        row.refresh_from_db()
        trail = AuditEntry.objects.get(action="waste.apply")
        of_tenant = AuditEntry.objects.get(action="deployment.update")
    assert row.sleep_after_s == finding.arguments["sleep_after_s"][row.id] < 7 * 86400
    assert (trail.target, trail.actor_id) == (finding.id, "user_1")
    assert of_tenant.tenant_id == row.tenant_id
    assert applied.undo == {row.id: 7 * 86400}

    undo(applied)
    with system_scope():
        row.refresh_from_db()
    assert row.sleep_after_s == 7 * 86400
    assert [e["action"] for e in events("waste.undone")] == ["sleep"]


def test_what_its_tenant_has_set_since_is_not_taken_back() -> None:
    row, other = deployment_forgotten(), make_tenant()
    asleep, fewer = (
        apply(_opened("sleep", "mini", sleep_after_s={row.id: 600})),
        apply(_opened("resize", "mini", max_replicas=2)),
    )
    price_storage("0.01")
    ended = apply(_opened("expire", other.id, ids=[file_make(other, gigabytes=1, days=9)]))
    gone = apply(_opened("delete", other.id, ids=checkpoints_make(other, 2, gigabytes=1, days=9)))
    mine = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    with system_scope():
        Deployment.objects.filter(pk=row.pk).update(sleep_after_s=1200, max_replicas=3)
        File.objects.update(expires_at=mine)
        kept, deleted = ModelVersion.objects.order_by("id")
        ModelVersion.objects.filter(pk=deleted.pk).update(deleted_at=ago(0))
    for done in (asleep, fewer, ended, gone):
        undo(done)
    with system_scope():
        row.refresh_from_db()
        assert (row.sleep_after_s, row.max_replicas) == (1200, 3)
        assert File.objects.get().expires_at == mine
        there = ModelVersion.objects.filter(deleted_at__isnull=True)
        assert list(there.values_list("id", flat=True)) == [kept.id]


def test_what_has_changed_meanwhile_is_refused() -> None:
    row = deployment_forgotten()
    waste_sweep()
    with system_scope():
        Deployment.objects.filter(pk=row.pk).update(sleep_after_s=3600)
    with pytest.raises(Conflict, match="has changed since") as refused:
        apply(found("idle_deployment"))
    assert refused.value.code == "finding_stale"
    with system_scope():
        assert Deployment.objects.get(pk=row.pk).sleep_after_s == 3600
    waste_sweep()  # looks again, and says what is true now
    apply(found("idle_deployment"))


def test_a_finding_keeps_its_identity_and_closes_when_it_is_found_no_more() -> None:
    row = deployment_forgotten()
    waste_sweep()
    first = found("idle_deployment")
    assert waste_sweep() == 0
    assert found("idle_deployment").id == first.id
    with system_scope():
        Deployment.objects.filter(pk=row.pk).update(sleep_after_s=60)
    waste_sweep()
    with system_scope():
        first.refresh_from_db()
    assert (first.state, first.closed_by) == ("closed", "")
    assert [event["finding_id"] for event in events("waste.closed")] == [first.id]


def test_a_sweep_locks_nothing_while_it_weighs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests and heartbeats write the rows whose state it names."""
    scopes: list[Any] = []
    monkeypatch.setattr(services, "savings_beside", _outside(scopes, services.savings_beside))
    monkeypatch.setattr(services, "_leak", _outside(scopes, services._leak))
    deployment_forgotten()
    assert waste_sweep() == 1
    assert scopes == [None, None]


def _outside(scopes: list[Any], function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*given: Any) -> Any:
        scopes.append(current_scope())
        return function(*given)

    return wrapped


def test_nobody_but_staff_acts_and_nothing_is_done_twice() -> None:
    deployment_forgotten()
    waste_sweep()
    finding = found("idle_deployment")
    with system_scope():
        tenant = Tenant.objects.exclude(is_platform=True).first()
        assert tenant is not None
    customer = Actor(kind=ActorKind.MEMBER, id="u", tenant_id=tenant.id)
    with system_scope(), pytest.raises(PermissionDenied):
        waste_apply(actor=customer, finding_id=finding.id)
    viewer = replace(staff(), role=Role.VIEWER, may=permissions(Role.VIEWER))
    for service in (waste_apply, waste_undo, finding_close):
        with system_scope(), pytest.raises(PermissionDenied, match=r"jobs\.write"):
            service(actor=viewer, finding_id=finding.id)
    with system_scope(), pytest.raises(NotFound):
        waste_apply(actor=staff(), finding_id="waste_none")
    apply(finding)
    with pytest.raises(Conflict, match="is applied"):
        apply(finding)
    with system_scope(), pytest.raises(Conflict):
        finding_close(actor=staff(), finding_id=finding.id)
    undo(finding)
    with pytest.raises(Conflict, match="taken back"):
        undo(finding)


def test_orphans_are_deleted_and_restored_within_their_time() -> None:
    tenant = make_tenant()
    ids = checkpoints_make(tenant, 5, gigabytes=300, days=200)
    with system_scope():
        on_offer = ModelVersion.objects.get(pk=ids[0])
        Deployment.objects.create(
            id="dep_1", tenant_id=tenant.id, model=on_offer.name, base_id="mini",
            version=on_offer, target="mini",
        )  # fmt: skip
    waste_sweep()
    finding = found("orphan_versions")
    assert finding.arguments["ids"] == sorted(ids[1:])
    assert finding.evidence["gigabytes"] == 1200

    apply(finding)
    with system_scope():
        assert ModelVersion.objects.filter(deleted_at__isnull=True).count() == 1
        waste_measure()
        finding.refresh_from_db()
    undo(finding)
    with system_scope():
        assert ModelVersion.objects.filter(deleted_at__isnull=True).count() == 5
        WasteFinding.objects.filter(pk=finding.pk).update(
            state="applied", undo={"deleted": {}}, undo_until=ago(1)
        )
    with pytest.raises(Conflict, match="could be taken back until"):
        undo(finding)


def test_an_orphan_that_got_a_deployment_meanwhile_stays() -> None:
    tenant = make_tenant()
    ids = checkpoints_make(tenant, 3, gigabytes=300, days=200)
    waste_sweep()
    with system_scope():
        version = ModelVersion.objects.get(pk=ids[0])
        Deployment.objects.create(
            id="dep_1", tenant_id=tenant.id, model=version.name, base_id="mini",
            version=version, target="mini",
        )  # fmt: skip
    with pytest.raises(Conflict, match="has changed since"):
        apply(found("orphan_versions"))
    with system_scope():
        assert not ModelVersion.objects.filter(deleted_at__isnull=False).exists()


def test_unused_files_get_an_end_that_can_be_taken_off_again() -> None:
    tenant = make_tenant()
    for _ in range(40):  # what was seen of their like: hardly any is read again
        file_make(tenant, gigabytes=0.001, days=200)
    big = file_make(tenant, gigabytes=20_000, days=200)
    waste_sweep()
    finding = found("unused_files")
    assert finding.arguments["ids"] == [big]
    apply(finding)
    with system_scope():
        ends = File.objects.get(pk=big).expires_at
    assert ends is not None
    assert ends > ago(0) + dt.timedelta(days=6)
    undo(finding)
    with system_scope():
        assert File.objects.get(pk=big).expires_at is None


def test_idle_workers_are_asked_to_drain_and_called_back() -> None:
    tenant = make_tenant()
    workers = [worker_make(started=ago(28)) for _ in range(5)]
    for day in range(27):
        attempt_make(job_make(tenant), workers[0], ago(27.5 - day), 12)
    waste_sweep()
    finding = found("idle_workers")
    assert finding.evidence["used_at_peak"] == 1
    leaving = set(finding.arguments["workers"])
    assert leaving == {worker.id for worker in workers[1:]}
    assert finding.saving == (4 * 30 * 86400 * Decimal("0.0007")).quantize(Decimal("0.01"))

    apply(finding)
    with system_scope():
        asked = Worker.objects.filter(drain_asked_at__isnull=False)
        assert set(asked.values_list("id", flat=True)) == leaving
    undo(finding)
    with system_scope():
        assert not Worker.objects.filter(drain_asked_at__isnull=False).exists()


def test_workers_that_others_are_to_drain_count_as_gone_at_once() -> None:
    """Two findings of a class: the second was judged with the first one's workers there."""
    first, second = worker_make(started=ago(28)), worker_make(started=ago(28))
    one = _opened("drain", first.id, workers=[first.id])
    other = _opened("drain", second.id, workers=[second.id])
    apply(one)
    with pytest.raises(Conflict, match="has changed since"):
        apply(other)


def test_a_pool_of_less_than_a_week_is_not_judged() -> None:
    for _ in range(5):
        worker_make(started=ago(6))
    assert waste_sweep() == 0


def test_a_worker_that_keeps_losing_work_is_drained() -> None:
    tenant = make_tenant()
    workers = [worker_make(started=ago(28)) for _ in range(4)]
    entries = []
    for day in range(27):
        for number, worker in enumerate(workers):
            job = job_make(tenant)
            start = ago(27.5 - day)
            lost = number == 0 and day % 2 == 0
            attempt_make(job, worker, start, 20, outcome="lost" if lost else "succeeded")
            if lost:
                entries.append(
                    slot_time(0, 7200, resource="worker.gpu", purpose="retry", job_id=job.id,
                              tenant_id=tenant.id, attempt=2, slot=day, worker=worker.id)
                )  # fmt: skip
    with system_scope():
        slot_time_record(entries=entries)
    waste_sweep()
    finding = found("faulty_worker")
    assert finding.subject == workers[0].id
    assert finding.evidence["lost_attempts"] == 14
    apply(finding)
    with system_scope():
        assert Worker.objects.get(pk=workers[0].id).drain_asked_at is not None


def patient_work(tenant: Tenant) -> Job:
    job = job_make(tenant, state=State.QUEUED, finished_at=None)
    day_s = 86400
    entries = [
        slot_time(n * day_s, n * day_s + 7200, resource="worker.gpu", tenant_id=tenant.id,
                  job_id=f"job_{n}", labels={"kind": "fine_tune", "base": "mini"})
        for n in range(-20, -1)
    ]  # fmt: skip
    shift = ago(0) - entries[-1].ended_at
    moved = [
        type(e)(**{**vars(e), "started_at": e.started_at + shift, "ended_at": e.ended_at + shift})
        for e in entries
    ]
    with system_scope():
        slot_time_record(entries=moved)
    return job


def test_work_moves_to_spot_once_there_are_such_workers() -> None:
    tenant = make_tenant()
    patient_work(tenant)
    dear = [worker_make(started=ago(1)) for _ in range(2)]
    waste_sweep()
    finding = found("patient_work")
    with pytest.raises(Conflict, match="BREAKWATER_WORKER_RATE_KIND=spot"):
        apply(finding)
    worker_make(started=ago(0), rate_kind="spot")
    with pytest.raises(Conflict, match="has changed since"):
        apply(finding)
    waste_sweep()
    apply(found("patient_work"))
    with system_scope():
        asked = Worker.objects.filter(drain_asked_at__isnull=False)
        assert [worker.id for worker in asked] == [dear[0].id]


def test_a_saving_is_measured_from_the_books_before_and_after() -> None:
    row = deployment_forgotten()
    waste_sweep()
    finding = apply(found("idle_deployment"))
    assert row.id in finding.arguments["sleep_after_s"]
    waste_measure()
    with system_scope():
        finding.refresh_from_db()
        assert finding.measured is None  # too early to say
        serve = Job.objects.get(kind="serve")
        moment = ago(2)
        WasteFinding.objects.filter(pk=finding.pk).update(applied_at=moment)
        hours = [(-40, 36), (2, 3)]
        slot_time_record(
            entries=[
                _hours(serve, moment + dt.timedelta(hours=begin), length) for begin, length in hours
            ]
        )
    assert waste_measure() == 1
    with system_scope():
        finding.refresh_from_db()
    a_month = 15 * 3600 * Decimal("0.000694444444")  # at the rate of then
    assert finding.before == (36 * a_month).quantize(Decimal("0.01"))
    assert finding.after == (3 * a_month).quantize(Decimal("0.01"))
    assert events("waste.measured")[0]["measured"] == f"{finding.measured}"
    assert waste_measure() == 1  # a stretch that still grows
    with system_scope():
        WasteFinding.objects.filter(pk=finding.pk).update(applied_at=moment - dt.timedelta(days=13))
    assert waste_measure() == 0


def _hours(job: Job, begin: dt.datetime, hours: float) -> SlotTime:
    return SlotTime(
        worker="w", slot=0, resource="worker.gpu", purpose="job", tenant_id=job.tenant_id,
        job_id=job.id, attempt=1, started_at=begin, ended_at=begin + dt.timedelta(hours=hours),
        key=new_id("k_"),
    )  # fmt: skip


def test_waiting_jobs_take_larger_passes_and_move_and_go_back() -> None:
    """What the actions do; whether it is worth it, the rules say."""
    tenant = make_tenant()
    waiting = job_make(
        tenant, state=State.QUEUED, finished_at=None,
        spec={"base_id": "mini", "settings": {"micro_batch_tokens": 128}},
    )  # fmt: skip
    worker_make(started=ago(0))
    subject = f"{tenant.id}:fine_tune:mini:worker.gpu"
    enlarged = _opened("enlarge_passes", subject, micro_batch_tokens=1024)
    done = apply(enlarged)
    with system_scope():
        waiting.refresh_from_db()
    assert waiting.spec["settings"]["micro_batch_tokens"] == 1024
    undo(done)
    with system_scope():
        waiting.refresh_from_db()
    assert waiting.spec["settings"]["micro_batch_tokens"] == 128

    moved = apply(_opened("place", subject, resource="worker.cpu"))
    with system_scope():
        waiting.refresh_from_db()
    assert waiting.queue == "train.cpu"
    assert events("job.queued")[-1]["queue"] == "train.cpu"
    undo(moved)
    with system_scope():
        waiting.refresh_from_db()
        assert waiting.queue == "train.gpu"
        Job.objects.filter(pk=waiting.pk).update(spec=waiting.spec | {"device": "gpu"})
    with pytest.raises(Conflict, match="none of its jobs that may be changed waits"):
        apply(_opened("place", subject, resource="worker.cpu"))
    with system_scope():
        waiting.refresh_from_db()
        assert waiting.queue == "train.gpu"
        with pytest.raises(Conflict, match="was asked for with device"):
            job_place(actor=staff(), job_id=waiting.id, worker_class="cpu")
        Job.objects.filter(pk=waiting.pk).update(state=State.RUNNING)
    with pytest.raises(Conflict, match="none of its jobs that may be changed waits"):
        apply(_opened("enlarge_passes", subject, micro_batch_tokens=1024))


def test_what_only_a_tenant_may_decide_is_suggested_to_it() -> None:
    tenant = make_tenant()
    subject = f"{tenant.id}:fine_tune:mini:worker.gpu"
    apply(_opened("suggest_sharing", subject))
    (suggested,) = events("sharing.suggested")
    assert suggested == {"tenant_id": tenant.id, "base": "mini"}
    with system_scope():
        Tenant.objects.filter(pk=tenant.id).update(shares_passes=True)
    with pytest.raises(Conflict, match="shares passes already"):
        apply(_opened("suggest_sharing", subject))

    row = deployment_forgotten()
    apply(_opened("propose_compression", "mini", time=0.5))
    told = next(e for e in events("compression.proposed") if e["deployment_id"] == row.id)
    assert told["latency"] == "0.5"


def test_fewer_replicas_are_allowed_and_allowed_again() -> None:
    row = deployment_forgotten()
    done = apply(_opened("resize", "mini", max_replicas=2))
    with system_scope():
        row.refresh_from_db()
    assert row.max_replicas == 2
    undo(done)
    with system_scope():
        row.refresh_from_db()
    assert row.max_replicas == 4


def _opened(action: str, subject: str, **arguments: object) -> WasteFinding:
    """A finding that proposes this, as things stand."""
    with system_scope():
        return WasteFinding.objects.create(
            id=new_id("waste_"), kind=action, subject=subject, saving=1, beside=1, action=action,
            arguments=arguments, version=version_of(action, subject, arguments),
        )  # fmt: skip
