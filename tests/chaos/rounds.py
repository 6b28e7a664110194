"""A round of chaos: jobs are submitted, faults strike, jobs end, and the rules are checked."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from saas.runtime.layout import Layout
from tenants.accounts.models import Tenant
from tenants.accounts.selectors import platform_tenant
from tenants.costs.services import resources_ensure
from tenants.kernel.scope import system_scope, tenant_scope
from tests.chaos.database import sat_out
from tests.chaos.faults import FAULTS, stop_until
from tests.chaos.invariants import (
    OTHER_WEIGHTS,
    Reference,
    books_violations,
    reference_of,
    violations,
)
from tests.chaos.workers import SpareWorker
from tests.workers.jobs.factories import actor_of, make_tenant
from tests.workers.tasks.cohorts import PROFILE, sharing_tenant
from tests.workers.tasks.factories import BASE_ID, register_base, submit_fine_tune
from workers.assets.models import BaseModel
from workers.engine.profiles import profile_key
from workers.jobs.models import Attempt, Job
from workers.jobs.states import FINAL
from workers.serving.models import Deployment, Replica
from workers.serving.services import deployment_wake

SETTINGS: dict[str, Any] = {"epochs": 4, "batch_size": 2, "snapshot_every_steps": 20}
ROWS = 240
JOBS = 3
LIMIT_S = 300.0
ZOMBIES = {True: "saas.settings", False: "tests.chaos.unfenced"}
UNFENCED_S = 90.0  # without the fence a job may well never end
MOMENT_S = 2.0  # a fault strikes at a random point within


class Rounds:
    """`prepare` once, then any number of rounds."""

    def __init__(self) -> None:
        self.spare = SpareWorker("spare", "train.cpu")
        self.tenants: list[Tenant] = []
        self.reference: Reference | None = None

    def prepare(self) -> dict[str, Any]:
        """A base, two tenants, a replica, and the reference: one fine-tune that nobody disturbs."""
        with system_scope():
            resources_ensure()
        register_base(Layout.current().var / "bases" / BASE_ID)
        self.tenants = [make_tenant(), make_tenant()]
        job_id = self._submit(0)
        wait(lambda: _ended([job_id]), f"the reference job {job_id}")
        self.reference = reference_of(job_id)
        self._wake()
        return asdict(self.reference)

    def round(self, seed: int, faults: list[str]) -> dict[str, Any]:
        """Strike with each fault once, in random order at random moments; say what was broken."""
        assert self.reference is not None
        rng = random.Random(seed)
        jobs = [self._submit(number) for number in range(JOBS)]
        told = []
        for name in rng.sample(faults, len(faults)):
            self.spare.revive()
            if sat_out(lambda: _ended(jobs)):
                jobs.append(self._submit(len(jobs)))
            wait(_somebody_steps, "a step", limit_s=60)
            time.sleep(rng.uniform(0, MOMENT_S))
            told.append(FAULTS[name](rng))
        self.spare.revive()
        wait(lambda: _ended(jobs), f"the end of {jobs}")
        broken = [text for job in jobs for text in sat_out(lambda job=job: self._check(job))]
        broken += self._replica_violations()
        broken += sat_out(books_violations)
        return {"faults": told, "attempts": sat_out(lambda: _attempts(jobs)), "violations": broken}

    def zombie(self, seed: int, *, fenced: bool) -> dict[str, Any]:
        """A worker is stopped past its lease in the middle of a job, which another takes over."""
        assert self.reference is not None
        rng = random.Random(seed)
        zombie = SpareWorker("zombie", "train.gpu", settings_module=ZOMBIES[fenced])
        heir = SpareWorker("heir", "train.gpu")
        try:
            zombie.revive()
            job_id = self._submit(0, queue="train.gpu")
            wait(_somebody_steps, "a step")
            heir.revive()
            told = stop_until(rng, lambda: wait(lambda: _taken_over(job_id), "the heir"))
            try:
                wait(
                    lambda: _ended([job_id]) and _nobody_runs(),
                    "both ends",
                    limit_s=LIMIT_S if fenced else UNFENCED_S,
                )
            except TimeoutError as error:
                return {"faults": [told], "violations": [str(error)]}
            broken = sat_out(lambda: self._check(job_id)) + sat_out(books_violations)
            return {"faults": [told], "violations": broken}
        finally:
            zombie.end()
            heir.end()

    def cohort(self, seed: int) -> dict[str, Any]:
        """A worker is killed while two tenants' jobs share its passes; another one goes on.

        Their weights agree with a run alone within rounding only, so these are not compared here.
        """
        assert self.reference is not None
        rng = random.Random(seed)
        sat_out(_measure)
        sharing = [sat_out(sharing_tenant) for _ in range(2)]
        first = SpareWorker("first", "train.gpu", slots=1)
        second = SpareWorker("second", "train.gpu")
        try:
            jobs = [self._submit_for(tenant, queue="train.gpu") for tenant in sharing]
            first.revive()
            wait(lambda: _share_passes(jobs), "both in one cohort and under way")
            time.sleep(rng.uniform(0, MOMENT_S))
            first.end()
            second.revive()
            wait(lambda: _ended(jobs), f"the end of {jobs}")
            broken = [text for job in jobs for text in sat_out(lambda job=job: self._rules(job))]
            broken += sat_out(books_violations)
            return {"attempts": sat_out(lambda: _attempts(jobs)), "violations": broken}
        finally:
            first.end()
            second.end()

    def _rules(self, job_id: str) -> list[str]:
        """Every rule but that of equal weights."""
        assert self.reference is not None
        return [v for v in violations(job_id, self.reference) if not v.endswith(OTHER_WEIGHTS)]

    def _check(self, job_id: str) -> list[str]:
        assert self.reference is not None
        return violations(job_id, self.reference)

    def _submit(self, number: int, *, queue: str | None = None) -> str:
        return self._submit_for(self.tenants[number % len(self.tenants)], queue=queue)

    def _submit_for(self, tenant: Tenant, *, queue: str | None = None) -> str:
        def submit() -> str:
            with tenant_scope(tenant.id):
                job = submit_fine_tune(tenant, rows=ROWS, validation=False, **SETTINGS)
                if queue is not None:
                    Job.objects.filter(pk=job.id).update(queue=queue)
            return str(job.id)

        return sat_out(submit)

    def _wake(self) -> None:
        def wake() -> None:
            with system_scope():
                platform = platform_tenant()
                found = Deployment.objects.filter(tenant=platform, model=BASE_ID).first()
                assert found is not None, "no deployment of the base yet"
                Deployment.objects.filter(pk=found.pk).update(sleep_after_s=86_400)
                deployment_wake(actor=actor_of(platform), deployment_id=found.id)

        with system_scope():
            platform = platform_tenant()
        wait(lambda: _is_offered(platform.id), "the base's offer")
        sat_out(wake)
        wait(_replica_answers, "a replica")

    def _replica_violations(self) -> list[str]:
        try:
            wait(_replica_answers, "a replica", limit_s=90)
        except TimeoutError:
            return ["no replica answers any more"]
        return []


def wait(condition: Callable[[], Any], what: str, *, limit_s: float = LIMIT_S) -> None:
    """Raises TimeoutError where `condition` does not come to hold."""
    deadline = time.monotonic() + limit_s
    while not sat_out(condition):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {limit_s:.0f} s in vain for {what}")
        time.sleep(0.1)


def _ended(job_ids: list[str]) -> bool:
    with system_scope():
        rows = Job.objects.filter(pk__in=job_ids, state__in=FINAL)
        return bool(rows.count() == len(job_ids))


def _measure() -> None:
    """As if shared passes had been measured, also on the class that the spare workers stand for."""
    both = (PROFILE, replace(PROFILE, device="cuda:0"))
    with system_scope():
        stored = {profile_key(profile): asdict(profile) for profile in both}
        BaseModel.objects.filter(pk=BASE_ID).update(profile=stored)


def _share_passes(job_ids: list[str]) -> bool:
    """Whether all are members of one running cohort, and each has a snapshot to go on from."""
    with system_scope():
        running = Attempt.objects.filter(job_id__in=job_ids, ended_at__isnull=True)
        cohorts = set(running.values_list("cohort_id", flat=True))
        started = Job.objects.filter(pk__in=job_ids).exclude(resume_from="").count()
        together = running.count() == len(job_ids) and len(cohorts - {None, ""}) == 1
        return bool(together and started == len(job_ids))


def _somebody_steps() -> bool:
    """Whether a fine-tune has moved beyond where its attempt began, or none is left to."""
    with system_scope():
        running = Attempt.objects.filter(ended_at__isnull=True, job__kind="fine_tune")
        open_jobs = Job.objects.filter(kind="fine_tune", finished_at__isnull=True)
        moved = any(row.to_step > row.from_step for row in running)
        return moved or not open_jobs.exists()


def _taken_over(job_id: str) -> bool:
    """Whether another attempt than the first steps, or has ended."""
    with system_scope():
        later = Attempt.objects.filter(job_id=job_id, number__gt=1)
        return any(row.to_step > row.from_step or row.ended_at for row in later)


def _nobody_runs() -> bool:
    with system_scope():
        return not Attempt.objects.filter(ended_at__isnull=True, job__kind="fine_tune").exists()


def _attempts(job_ids: list[str]) -> dict[str, list[str]]:
    with system_scope():
        rows = Attempt.objects.filter(job_id__in=job_ids).order_by("number")
        found: dict[str, list[str]] = {}
        for row in rows:
            found.setdefault(row.job_id, []).append(f"{row.outcome} {row.from_step}-{row.to_step}")
        return found


def _is_offered(tenant_id: str) -> bool:
    with system_scope():
        return bool(Deployment.objects.filter(tenant_id=tenant_id, model=BASE_ID).exists())


def _replica_answers() -> bool:
    with system_scope():
        rows = Replica.objects.filter(state="ready", stopped_at__isnull=True)
        addresses = list(rows.values_list("address", flat=True))
    for address in addresses:
        host, _, port = address.partition(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            continue
        return True
    return False
