"""Who hears what: the one table from events to handlers.

Each name is permanent: the inbox knows it by it.
"""

from __future__ import annotations

from tenants.kernel.outbox import HandlerTable, Subscription
from workers.jobs.events import JobQueued, JobSucceeded
from workers.serving.events import DeploymentWoken
from workers.serving.handlers import on_deployment_woken, on_job_succeeded
from workers.tasks.hints import on_job_queued

HANDLERS: HandlerTable = {
    JobQueued: (Subscription("jobs.hint", on_job_queued),),
    JobSucceeded: (Subscription("serving.offer", on_job_succeeded),),
    DeploymentWoken: (Subscription("serving.reconcile", on_deployment_woken),),
}
