"""Who hears what: the one table from events to handlers.

Each name is permanent: the inbox knows it by it.
"""

from __future__ import annotations

from tenants.kernel.outbox import HandlerTable, Subscription
from workers.jobs.events import JobQueued
from workers.tasks.hints import on_job_queued

HANDLERS: HandlerTable = {
    JobQueued: (Subscription("jobs.hint", on_job_queued),),
}
