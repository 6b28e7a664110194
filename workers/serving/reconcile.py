"""Keeps each target's wanted number of replicas, as serve jobs of the platform's tenant.

Runs in the system's scope, periodically and after each `deployment.woken`; one at a time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Q
from django.db.models.functions import Now

from tenants.accounts.actors import Actor, system_actor
from tenants.accounts.selectors import platform_tenant
from tenants.kernel.clock import database_now
from tenants.kernel.locks import AdvisoryLock, try_advisory_lock
from tenants.kernel.outbox import emit
from tenants.kernel.scope import system_scope
from workers.jobs.models import Job
from workers.jobs.services import job_cancel, job_submit
from workers.jobs.states import FINAL, HELD_BY_WORKER, Kind, State
from workers.serving.events import DeploymentFailed, DeploymentReady, DeploymentSlept
from workers.serving.models import Deployment, Replica
from workers.serving.moves import deployment_move
from workers.serving.scaling import Demand, may_start, plan
from workers.serving.services import base_deployments_ensure

REMEMBERED = dt.timedelta(minutes=10)  # how long a serve job's failure delays the next try
LEAVING = (State.CANCELLING, State.PAUSING)


@dataclass
class Target:
    """What is asked of one target, and what is there."""

    name: str
    deployments: list[Deployment] = field(default_factory=list)  # those awake
    jobs: list[Job] = field(default_factory=list)  # serve jobs under way, oldest first
    failures: list[Job] = field(default_factory=list)  # serve jobs that failed of late
    replicas: list[Replica] = field(default_factory=list)

    @property
    def demand(self) -> Demand:
        return Demand(
            limit=max((row.max_replicas for row in self.deployments), default=0),
            active=sum(replica.active for replica in self.replicas),
        )

    @property
    def is_ready(self) -> bool:
        return any(replica.state == Replica.State.READY for replica in self.replicas)

    @property
    def is_failing(self) -> bool:
        return bool(self.failures) and not self.is_ready


def deployments_reconcile() -> int:
    """Start and drain serve jobs until each target has what it wants; show it on the deployments.

    Returns how many serve jobs were started or told to stop. Does nothing while another runs.
    """
    with system_scope():
        if not try_advisory_lock(AdvisoryLock.RECONCILER):
            return 0
        platform = platform_tenant()
        base_deployments_ensure(platform_id=platform.id)
        _put_to_sleep()
        _bury_replicas()
        actor, now = system_actor(platform.id), database_now()
        targets = _targets(platform.id, now)
        changes = sum(_settle(target, actor=actor, now=now) for target in targets)
        for target in targets:
            _show(target)
        return changes


def _put_to_sleep() -> None:
    """Deployments that nobody has called for a while want no replica any more."""
    awake = Deployment.objects.exclude(
        state__in=[Deployment.State.ASLEEP, Deployment.State.DELETED]
    )
    idle = awake.filter(
        Q(wanted_until__isnull=True)
        | Q(wanted_until__lte=Now())
        | Q(version__deleted_at__isnull=False)
    )
    # by tenant, since each gives back a hold: wallets are locked in one order everywhere
    for row in idle.order_by("tenant_id", "id").select_for_update(of=("self",)):
        deployment_move(row, Deployment.State.ASLEEP, wanted_until=None)
        emit(DeploymentSlept(tenant_id=row.tenant_id, deployment_id=row.id, target=row.target))


def _bury_replicas() -> None:
    """Replicas whose serve job has ended, or went on to another attempt, are gone."""
    open_rows = Replica.objects.filter(stopped_at__isnull=True).select_related("job")
    gone = [
        row.pk
        for row in open_rows
        if row.token != row.job.token or State(row.job.state) not in HELD_BY_WORKER
    ]
    Replica.objects.filter(pk__in=gone).update(
        state=Replica.State.STOPPED, stopped_at=Now(), active=0
    )


def _targets(platform_id: str, now: dt.datetime) -> list[Target]:
    found: dict[str, Target] = {}

    def of(name: str) -> Target:
        return found.setdefault(name, Target(name))

    for row in Deployment.objects.filter(wanted_until__gt=Now(), deleted_at__isnull=True):
        of(row.target).deployments.append(row)
    serve = Job.objects.filter(tenant_id=platform_id, kind=Kind.SERVE)
    for job in serve.exclude(state__in=FINAL).order_by("id"):
        of(job.spec["target"]).jobs.append(job)
    for job in serve.filter(state=State.FAILED, finished_at__gt=now - REMEMBERED):
        of(job.spec["target"]).failures.append(job)
    for replica in Replica.objects.filter(stopped_at__isnull=True):
        of(replica.target).replicas.append(replica)
    return list(found.values())


def _settle(target: Target, *, actor: Actor, now: dt.datetime) -> int:
    staying = [job for job in target.jobs if job.state not in LEAVING]
    steps = plan(target.demand, jobs=[job.id for job in staying])
    for job_id in steps.stop:
        job_cancel(actor=actor, job_id=job_id)
    ended = [job.finished_at for job in target.failures if job.finished_at]
    if not steps.start or not may_start(ended, now=now):
        return len(steps.stop)
    wanted_by = target.deployments[0]
    for _ in range(steps.start):
        job_submit(actor=actor, kind=Kind.SERVE, spec=_spec(wanted_by))
    return steps.start + len(steps.stop)


def _spec(deployment: Deployment) -> dict[str, str | None]:
    whole = deployment.target != deployment.base_id
    return {
        "target": deployment.target,
        "base_id": deployment.base_id,
        "version_id": deployment.target if whole else None,
    }


def _show(target: Target) -> None:
    """Write waking, ready or failed on the deployments that are awake."""
    state, error = _state_of(target)
    for row in target.deployments:
        if row.state == state and row.last_error == error:
            continue
        became = row.state != state
        deployment_move(row, state, last_error=error)
        if became and state == Deployment.State.READY:
            emit(DeploymentReady(tenant_id=row.tenant_id, deployment_id=row.id, target=row.target))
        if became and state == Deployment.State.FAILED:
            emit(
                DeploymentFailed(
                    tenant_id=row.tenant_id, deployment_id=row.id, target=row.target, error=error
                )
            )


def _state_of(target: Target) -> tuple[Deployment.State, str]:
    if target.is_ready:
        return Deployment.State.READY, ""
    if target.is_failing:
        return Deployment.State.FAILED, _last_error(target.failures)
    return Deployment.State.WAKING, ""


def _last_error(failures: Sequence[Job]) -> str:
    last = max(failures, key=lambda job: job.id)
    return str((last.error or {}).get("message", "its replica failed"))
