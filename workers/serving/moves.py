"""How a deployment's state changes: one place, so that its ready time is kept with it."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Now

from workers.serving.models import Deployment, ReadySpan


def deployment_move(row: Deployment, state: Deployment.State, **fields: Any) -> None:
    """Put a deployment into `state`; becoming ready opens a span of ready time, leaving ends it."""
    was_ready = row.state == Deployment.State.READY
    row.state = state
    for name, value in fields.items():
        setattr(row, name, value)
    row.save(update_fields=["state", *fields])
    if was_ready and state != Deployment.State.READY:
        ReadySpan.objects.filter(deployment=row, ended_at__isnull=True).update(ended_at=Now())
    if not was_ready and state == Deployment.State.READY:
        ReadySpan.objects.bulk_create(
            [ReadySpan(tenant_id=row.tenant_id, deployment=row)], ignore_conflicts=True
        )
