"""Jobs that wait for their data to be read, once that is done."""

from __future__ import annotations

import structlog
from django.db import InterfaceError, OperationalError

from tenants.kernel.scope import system_scope, tenant_scope
from workers.assets.models import Dataset
from workers.jobs.kinds import FailureKind
from workers.jobs.models import Job
from workers.jobs.moves import job_fail_now, job_locked
from workers.jobs.services import WAITS_FOR, job_take_up
from workers.jobs.states import State

log = structlog.get_logger(__name__)
UNCHECKED = {
    "code": "not_checked",
    "message": "its settings could not be checked: a value is of another kind than it has to be, "
    "or we are at fault; compare them with the documentation, or ask us",
    "param": None,
}


def jobs_take_up() -> int:
    """Check and queue every job whose data are read, each in a transaction of its own; how many."""
    with system_scope():
        rows = Job.objects.filter(state=State.VALIDATING, spec__has_key=WAITS_FOR).order_by("id")
        waiting = {job.id: (job.tenant_id, job.spec[WAITS_FOR]) for job in rows}
        being_read = set(
            Dataset.objects.filter(
                pk__in=[dataset for _, dataset in waiting.values()],
                status=Dataset.Status.VALIDATING,
            ).values_list("pk", flat=True)
        )
    ready = [(j, tenant) for j, (tenant, dataset) in waiting.items() if dataset not in being_read]
    for job_id, tenant_id in ready:
        _take_up(job_id, tenant_id)
    return len(ready)


def _take_up(job_id: str, tenant_id: str) -> None:
    """What nobody foresaw ends this job, and keeps no other one waiting."""
    try:
        with tenant_scope(tenant_id):
            job_take_up(job_id=job_id)
    except (OperationalError, InterfaceError):  # of the database: for another time
        raise
    except Exception:
        log.exception("job.not_checked", job=job_id)
        with tenant_scope(tenant_id):
            job = job_locked(job_id)
            if job.state == State.VALIDATING:
                job_fail_now(job, FailureKind.PLATFORM, UNCHECKED)
