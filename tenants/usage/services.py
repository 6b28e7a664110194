"""Taking usage events in: each key once, for ever."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections

from tenants.kernel.scope import ScopeError, atomic, required_scope
from tenants.usage.ingestion import (
    DIFFERING,
    INSERT,
    NewUsage,
    key_conflict,
    usage_parameters,
)


def usage_record(*, tenant_id: str, events: Sequence[NewUsage]) -> int:
    """Record `events` of a tenant in the scope's transaction; return how many were new.

    A key seen before with the same payload changes nothing. Raises Conflict where a key was used
    for another payload (then none of `events` is kept), ScopeError for another tenant's events.
    """
    scope = required_scope()
    if scope.tenant_id not in {None, tenant_id}:
        raise ScopeError(f"usage of tenant {tenant_id} was recorded for {scope}")
    if not events:
        return 0
    parameters = usage_parameters((tenant_id, event) for event in events)
    with atomic(), connections[scope.alias].cursor() as cursor:
        cursor.execute(INSERT, parameters)
        accepted: int = cursor.rowcount
        if accepted < len(parameters["key"]):
            cursor.execute(DIFFERING, parameters)
            if differing := [row[0] for row in cursor.fetchall()]:
                raise key_conflict(differing)
    return accepted
