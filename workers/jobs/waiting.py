"""Jobs that wait for their data to be read, once that is done."""

from __future__ import annotations

from tenants.kernel.scope import system_scope, tenant_scope
from workers.assets.models import Dataset
from workers.jobs.models import Job
from workers.jobs.services import WAITS_FOR, job_take_up
from workers.jobs.states import State


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
        with tenant_scope(tenant_id):
            job_take_up(job_id=job_id)
    return len(ready)
