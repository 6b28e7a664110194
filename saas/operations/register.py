"""The operators' table of contents."""

from __future__ import annotations

from saas.console.sites import Page
from saas.operations.costs import costs
from saas.operations.lists.business import BaseModelAdmin, CostEntryAdmin, RateAdmin, TenantAdmin
from saas.operations.lists.work import (
    AttemptAdmin,
    JobAdmin,
    OutboxAdmin,
    ReplicaAdmin,
    WorkerAdmin,
)
from saas.operations.site import operations
from tenants.accounts.models import Tenant
from tenants.costs.models import CostEntry, Rate
from tenants.kernel.models import OutboxEvent
from workers.assets.models import BaseModel
from workers.jobs.models import Attempt, Job, Worker
from workers.serving.models import Replica

__all__ = ["operations"]

operations.register(Job, JobAdmin)
operations.register(Attempt, AttemptAdmin)
operations.register(Worker, WorkerAdmin)
operations.register(Replica, ReplicaAdmin)
operations.register(OutboxEvent, OutboxAdmin)
operations.register(Tenant, TenantAdmin)
operations.register(CostEntry, CostEntryAdmin)
operations.register(Rate, RateAdmin)
operations.register(BaseModel, BaseModelAdmin)

operations.pages = (Page("costs/", "costs", costs),)
