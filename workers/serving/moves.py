"""How a deployment's state changes: one place, so that its ready time and what is set aside for it
are kept with it.
"""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Now

from tenants.ledger.services import hold_release
from workers.serving.models import Deployment, ReadySpan


def deployment_move(row: Deployment, state: Deployment.State, **fields: Any) -> None:
    """Put a deployment into `state`. Becoming ready opens a span of ready time, leaving ends it;
    falling asleep gives back what was set aside for its next hour.
    """
    if state in {Deployment.State.ASLEEP, Deployment.State.DELETED} and state != row.state:
        hold_release(tenant_id=row.tenant_id, key=rent_key(row))
        fields["wakings"] = row.wakings + 1
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


def rent_key(row: Deployment) -> str:
    """Names the hold of one waking: a closed hold's key is never used again."""
    return f"deployment:{row.id}:{row.wakings}"
