"""Facts from real rows: what profiles say of other classes, company and passes; few statements."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from tenants.accounts.models import Tenant
from tenants.costs.services import slot_time_record
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from tests.tenants.costs.factories import slot_time
from tests.workers.jobs.factories import make_tenant
from tests.workers.waste.factories import (
    HOUR,
    ago,
    attempt_make,
    base_make,
    checkpoints_make,
    deployment_forgotten,
    file_make,
    job_make,
    price_gpu,
    price_storage,
    worker_make,
)
from workers.assets.models import ModelVersion
from workers.engine.profiles import Profile
from workers.engine.specs import FineTuneSpec
from workers.jobs.models import Job, Snapshot, Worker
from workers.waste.facts import Facts, Work
from workers.waste.reading import facts_read

pytestmark = pytest.mark.django_db
GPU = Profile("cuda", "float32", 1, flops=1e12, update_s=0, pack_s=0.25, load_s=9, spread=0.1,
              segment_s=0.05)  # fmt: skip
CPU = replace(GPU, device="cpu", flops=0.5e12)
SETTINGS = {"method": "lora", "task": "text_generation", "micro_batch_tokens": 512}
CONFIG = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "vocab_size": 256,
          "intermediate_size": 128, "num_attention_heads": 4}  # fmt: skip
ROOM = 10**12  # bytes; for any pass


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """Of the class on which the base was measured; a slower one is there too."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    base = base_make()
    with system_scope():
        base.path = str(tmp_path)
        base.profile = {"gpu": asdict(GPU), "cpu": asdict(CPU)}
        base.save()
    price_gpu(on_demand="0.0007", spot="0.0002")
    worker_make(started=ago(28), worker_class="cpu", memory_bytes=ROOM)
    return worker_make(started=ago(28), memory_bytes=ROOM)


def fine_tune(
    tenant: Tenant, worker: Worker, start: dt.datetime, hours: float, *,
    rate_kind: str = "on_demand", **asked: Any,
) -> Job:  # fmt: skip
    """One that ran, with what it cost and four snapshots."""
    spec = {"base_id": "mini", "settings": FineTuneSpec.from_dict(SETTINGS).to_dict(), **asked}
    job = job_make(tenant, spec=spec, cohort_key="mini:lora", update_tokens=4096)
    attempt_make(job, worker, start, hours)
    entry = slot_time(
        0, 0, resource="worker.gpu", tenant_id=tenant.id, job_id=job.id, worker=worker.id,
        rate_kind=rate_kind, labels={"kind": "fine_tune", "base": "mini"}, started_at=start,
        ended_at=start + hours * HOUR,
    )  # fmt: skip
    with system_scope():
        slot_time_record(entries=[entry])
        for step in range(4):
            Snapshot.objects.create(
                id=new_id("snap_"), tenant_id=tenant.id, job=job, token=1, step=step,
                storage_key=new_id("k_"), bytes=1, sha256="0" * 64,
            )  # fmt: skip
    return job


def read() -> Facts:
    with system_scope():
        return facts_read()


def work_of(tenant: Tenant) -> Work:
    (work,) = [work for work in read().work if work.tenant_id == tenant.id]
    return work


def test_work_is_read_with_what_was_measured_of_its_base(worker: Worker) -> None:
    """Two hours, half of them beside another tenant's; a CPU takes twice as long."""
    tenant, other = make_tenant(), make_tenant()
    start = ago(5)
    fine_tune(tenant, worker, start, 2)
    fine_tune(other, worker, start + HOUR, 3)
    work = work_of(tenant)
    assert (work.jobs, work.slot_s, work.on_demand) == (1, 7200, 1)
    assert work.snapshot_s == 1800
    assert work.elsewhere == {"worker.cpu": pytest.approx(14400)}
    assert work.sharing is not None
    assert work.sharing.company == pytest.approx(0.5)
    assert work.passes is not None
    assert work.passes.fitting == 4096
    assert work.passes.now_s - work.passes.fitting_s == pytest.approx(7 * 0.25)
    with system_scope():
        Tenant.objects.filter(pk=tenant.id).update(shares_passes=True)
        Worker.objects.update(memory_bytes=0)
    willing = work_of(tenant)
    assert (willing.sharing, willing.passes) == (None, None)


def test_work_moves_only_where_its_longest_job_is_in_time_and_nobody_chose(worker: Worker) -> None:
    """Six hours more are borne; a job of seven hours would take seven more."""
    patient, late, choosy = make_tenant(), make_tenant(), make_tenant()
    for tenant, hours in ((patient, 5), (late, 7), (choosy, 5)):
        fine_tune(tenant, worker, ago(4), 1)
        asked = {"device": "gpu"} if tenant is choosy else {}
        fine_tune(tenant, worker, ago(3), hours, **asked)
    assert work_of(patient).elsewhere == {"worker.cpu": pytest.approx(12 * 3600)}
    assert work_of(late).elsewhere == {}
    assert work_of(choosy).elsewhere == {}


def test_what_runs_on_spot_already_is_known(worker: Worker) -> None:
    tenant, soon = make_tenant(), ago(0) + dt.timedelta(seconds=1)  # prices hold from now on
    fine_tune(tenant, worker, soon, 1, rate_kind="spot")
    fine_tune(tenant, worker, soon, 3)
    with system_scope():
        (work,) = facts_read(at=soon + 5 * HOUR).work
    assert work.on_demand == 0.75


def test_a_version_whose_making_is_not_in_the_books_is_not_judged() -> None:
    price_storage("0.01")
    tenant = make_tenant()
    known, unknown = checkpoints_make(tenant, 2, gigabytes=1, days=100)
    with system_scope():
        ModelVersion.objects.filter(pk=unknown).update(job_id=job_make(tenant).id)
    remakes = {version.id: version.remake for version in read().versions}
    assert remakes[known] is not None
    assert remakes[unknown] is None


def test_more_rows_ask_no_more_statements(worker: Worker) -> None:
    price_storage("0.01")

    def more() -> None:
        for _ in range(2):
            tenant = make_tenant()
            fine_tune(tenant, worker, ago(5), 2)
            checkpoints_make(tenant, 2, gigabytes=1, days=100)
            file_make(tenant, gigabytes=1, days=100)

    def statements() -> int:
        with CaptureQueriesContext(connections["system"]) as watched:
            read()
        return len(watched)

    deployment_forgotten()
    more()
    before = statements()
    more()
    assert statements() == before
