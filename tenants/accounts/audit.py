"""The audit trail: one row with every change, in the change's own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from tenants.accounts.actors import Actor
from tenants.accounts.models import AuditEntry
from tenants.kernel.ids import new_id


def audit_record(
    *, actor: Actor, action: str, target: str, data: Mapping[str, Any] | None = None
) -> AuditEntry:
    """Record that `actor` did `action` (`api_key.create`) to `target` (an id).

    `data` holds no secrets.
    """
    entry: AuditEntry = AuditEntry.objects.create(
        id=new_id("aud_"),
        tenant_id=actor.tenant_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        action=action,
        target=target,
        data=dict(data or {}),
        trace_id=str(structlog.contextvars.get_contextvars().get("trace_id", "")),
    )
    return entry
