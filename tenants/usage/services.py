"""Taking usage events in: each key once, for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connections

from tenants.accounts.actors import Actor
from tenants.kernel.scope import ScopeError, atomic, required_scope
from tenants.usage.ingestion import (
    DIFFERING,
    INSERT,
    NewUsage,
    UsageKeyConflict,
    key_conflict,
    usage_parameters,
)


@dataclass(frozen=True)
class Ingested:
    """Of `received` events `accepted` were new; the others had come before."""

    received: int
    accepted: int


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
        if accepted < parameters["count"]:
            cursor.execute(DIFFERING, parameters)
            if differing := [row[0] for row in cursor.fetchall()]:
                raise key_conflict(differing)
    return accepted


def usage_ingest(*, actor: Actor, events: Sequence[NewUsage]) -> Ingested:
    """Record events that came from outside, all or none.

    Raises UsageKeyConflict that names the place in `events` of the key that was used before.
    """
    actor.require("usage.write")
    try:
        accepted = usage_record(tenant_id=actor.tenant_id, events=events)
    except UsageKeyConflict as error:
        index = next(i for i, event in enumerate(events) if event.key in error.keys)
        where = f"events.{index}.key"
        raise UsageKeyConflict(
            f"{where}: this key came before with another payload; a key names one event for ever",
            error.keys,
            param=where,
        ) from error
    return Ingested(received=len(events), accepted=accepted)
