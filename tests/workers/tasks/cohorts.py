"""Tenants that share passes, a base that is measured, and a slot that trains them together."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import connections

from tenants.accounts.models import Tenant
from tenants.kernel.scope import system_scope
from tests.workers.jobs.factories import claimed, job_row, make_tenant, make_worker, messages_of
from tests.workers.tasks.factories import BASE_ID, sold, start, submit_fine_tune, weights_of
from workers.assets.models import BaseModel
from workers.engine.profiles import Profile
from workers.jobs.claims import Claim
from workers.jobs.models import Cohort, Job, Worker
from workers.jobs.slots import Purpose
from workers.jobs.states import State
from workers.tasks.cohort import CohortSupervision

# As measured on a small base: a pass costs more than what a member adds to it.
PROFILE = Profile(
    device="cpu",
    dtype="float32",
    threads=1,
    flops=5e9,
    update_s=0.001,
    pack_s=0.01,
    load_s=2.0,
    spread=0.15,
    segment_s=0.001,
)


CLOSE = 1e-4  # relative: float32 in another order, over some dozens of updates
LONG: dict[str, Any] = {
    "rows": 240,
    "batch_size": 2,
    "epochs": 2,
    "snapshot_every_steps": 20,
    "validation": False,
}


def measure_base() -> None:
    with system_scope():
        BaseModel.objects.filter(pk=BASE_ID).update(profile=asdict(PROFILE))


def sharing_tenant(**fields: Any) -> Tenant:
    return make_tenant(shares_passes=True, **fields)


def submit(count: int, **settings: Any) -> list[Job]:
    """A fine-tune of each of `count` tenants, who agree on nothing but the base."""
    return [
        submit_fine_tune(
            sharing_tenant(), **({"seed": n, "lora": {"rank": 2 + n, "alpha": 8.0}} | settings)
        )
        for n in range(count)
    ]


def purpose(claim: Claim, what: str) -> Purpose:
    return Purpose(what, claim.lease.tenant_id, claim.lease.job_id, claim.number)


@dataclass
class RunningCohort:
    """A cohort that is supervised in a thread of this process."""

    supervision: CohortSupervision
    thread: threading.Thread
    draining: threading.Event

    def join(self, timeout: float = 180) -> None:
        self.thread.join(timeout)
        assert not self.thread.is_alive(), "the cohort did not end"

    def step_of(self, job: Job) -> int:
        """How far the child has said that a member is."""
        talk = self.supervision.talks.get(job.id)
        return talk.position[0] if talk and talk.position else 0


def start_cohort(worker: Worker) -> RunningCohort:
    """Claim the next job, which must open a cohort, and supervise it in a thread."""
    asked_at, draining = time.monotonic(), threading.Event()
    first = claimed(worker)
    assert first.cohort_id, "the job opened no cohort"
    supervision = CohortSupervision(first, claimed_at=asked_at, draining=draining, purpose=purpose)

    def run() -> None:
        try:
            supervision.run()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return RunningCohort(supervision, thread, draining)


def cohorts() -> list[Cohort]:
    with system_scope():
        return list(Cohort.objects.order_by("started_at"))


def apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest relative L2 distance between two versions' tensors."""
    assert one.keys() == other.keys()
    return max(
        float((one[name] - other[name]).norm() / other[name].norm().clamp_min(1e-12))
        for name in one
    )


def weights(job_id: str, into: Path) -> dict[str, Any]:
    row = job_row(job_id)
    assert row.state == State.SUCCEEDED, (row.state, row.error, messages_of(job_id))
    return weights_of(row.result["model_version_id"], into / job_id)


@dataclass(frozen=True)
class Reference:
    """A fine-tune that was run by itself: its tensors, tokens sold, net charge and bound."""

    weights: dict[str, Any]
    sold: int
    charged: Decimal
    bound: Decimal


_references: dict[str, Reference] = {}  # by settings; the base is always the same


def alone(job: Job, into: Path) -> Reference:
    """The same fine-tune of a tenant who shares with nobody, run by itself."""
    settings = job.spec["settings"]
    kept = ("seed", "lora", "epochs", "batch_size", "snapshot_every_steps", "learning_rate")
    asked = {name: settings[name] for name in kept}
    if (key := repr(asked)) not in _references:
        again = submit_fine_tune(
            make_tenant(),
            rows=LONG["rows"] if settings["batch_size"] == LONG["batch_size"] else 24,
            validation=job.spec["validation_file_id"] is not None,
            **asked,
        )
        start(make_worker()).join()
        row = job_row(again.id)
        assert row.bound is not None
        _references[key] = Reference(
            weights(again.id, into), sold(again.id), row.charged, row.bound
        )
    return _references[key]


def reset_back_off() -> None:
    with system_scope():
        Job.objects.update(available_at="2000-01-01T00:00Z")
