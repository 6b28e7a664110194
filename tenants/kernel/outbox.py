"""The transactional outbox: events leave only after the change they tell of has committed.

At-least-once delivery, exactly-once effect: a handler runs in the transaction that writes its inbox
row and marks the event, so a crash anywhere undoes both. Order is kept within an aggregate: a
failed event holds back its followers.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.db import connections, models, transaction
from django.db.models.functions import Now

from tenants.kernel.events import EVENTS, Event, event_from_payload
from tenants.kernel.ids import new_id
from tenants.kernel.locks import AdvisoryLock, try_advisory_lock
from tenants.kernel.models import InboxEntry, OutboxEvent
from tenants.kernel.scope import SYSTEM, ScopeError, required_scope, system_scope

log = structlog.get_logger(__name__)

CHANNEL = "outbox"
MAX_BACK_OFF = timedelta(minutes=5)

Handler = Callable[[Any], None]  # takes the event class that the table lists it under


@dataclass(frozen=True)
class Subscription:
    """A handler under a permanent name, by which the inbox remembers it."""

    name: str
    handle: Handler


HandlerTable = Mapping[type[Event], Sequence[Subscription]]


def emit(*events: Event) -> None:
    """Write events to the outbox, in the scope's transaction.

    Raises ScopeError for another tenant's event.
    """
    scope = required_scope()
    for event in events:
        if scope.tenant_id is not None and event.tenant_id != scope.tenant_id:
            raise ScopeError(
                f"{event.event_type} of tenant {event.tenant_id} was emitted by {scope}"
            )
    trace_id = str(structlog.contextvars.get_contextvars().get("trace_id", ""))
    OutboxEvent.objects.bulk_create(
        OutboxEvent(
            event_id=new_id("evt_"),
            tenant_id=event.tenant_id,
            name=event.event_type,
            aggregate_id=event.aggregate_id,
            payload=event.to_payload(),
            trace_id=trace_id,
        )
        for event in events
    )
    with connections[scope.alias].cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


def drain(handlers: HandlerTable, *, limit: int = 100) -> int:
    """Hand the oldest due events, up to `limit`, to their handlers; return how many there were.

    Refused inside a transaction: what it would deliver might still be rolled back.
    """
    if _in_transaction():
        raise ScopeError("the outbox is drained outside of any transaction")
    with system_scope():
        if not try_advisory_lock(AdvisoryLock.RELAY):
            return 0
        rows = list(_due()[:limit])
        _deliver(rows, handlers)
        return len(rows)


def _in_transaction() -> bool:
    """Whether a transaction is open, a test case's own outer one apart."""
    blocks = transaction.get_connection(SYSTEM).atomic_blocks
    return any(not getattr(block, "_from_testcase", False) for block in blocks)


def _due() -> models.QuerySet[OutboxEvent]:
    """Undelivered, due events that wait for no earlier one of their aggregate."""
    undelivered = OutboxEvent.objects.filter(delivered_at__isnull=True)
    held_back_by = undelivered.filter(
        aggregate_id=models.OuterRef("aggregate_id"),
        id__lt=models.OuterRef("id"),
        available_at__gt=Now(),
    )
    return undelivered.filter(~models.Exists(held_back_by), available_at__lte=Now()).order_by("id")


def _deliver(rows: Sequence[OutboxEvent], handlers: HandlerTable) -> None:
    done = _already_handled(rows)
    waiting: set[str] = set()  # aggregates whose earlier event has just failed
    delivered: list[int] = []
    entries: list[InboxEntry] = []
    for row in rows:
        if row.aggregate_id in waiting:
            continue
        handled, errors = _deliver_one(row, handlers, done)
        entries += [InboxEntry(event_id=row.event_id, handler=name) for name in handled]
        if errors:
            _put_off(row, "\n".join(errors))
            waiting.add(row.aggregate_id)
        else:
            delivered.append(row.pk)
    InboxEntry.objects.bulk_create(entries)
    OutboxEvent.objects.filter(pk__in=delivered).update(delivered_at=Now())


def _deliver_one(
    row: OutboxEvent, handlers: HandlerTable, done: set[tuple[str, str]]
) -> tuple[list[str], list[str]]:
    """Return the names of the handlers that went well, and the errors of the others."""
    kind = EVENTS.get(row.name)
    if kind is None:  # written by a newer version: kept until this one is replaced
        return [], [f"no event {row.name!r} is registered here"]
    handled: list[str] = []
    errors: list[str] = []
    for subscription in handlers.get(kind, ()):
        if (row.event_id, subscription.name) in done:
            continue
        error = _handle(row, subscription)
        if error is None:
            handled.append(subscription.name)
        else:
            errors.append(error)
    return handled, errors


def _already_handled(rows: Sequence[OutboxEvent]) -> set[tuple[str, str]]:
    """Which handlers an earlier, partly failed round has already been through."""
    retried = [row.event_id for row in rows if row.attempts]
    if not retried:
        return set()
    return set(InboxEntry.objects.filter(event_id__in=retried).values_list("event_id", "handler"))


def _handle(row: OutboxEvent, subscription: Subscription) -> str | None:
    """Run one handler in a savepoint. Returns what went wrong, if anything."""
    try:
        with transaction.atomic(using=SYSTEM):
            subscription.handle(event_from_payload(row.name, row.payload))
    except Exception:
        log.exception(
            "handler failed", event_name=row.name, event_id=row.event_id, handler=subscription.name
        )
        return traceback.format_exc(limit=-3)
    return None


def _put_off(row: OutboxEvent, error: str) -> None:
    """Try again after 1, 2, 4 … seconds, at most `MAX_BACK_OFF`."""
    delay = min(timedelta(seconds=2 ** min(row.attempts, 16)), MAX_BACK_OFF)
    row.attempts += 1
    OutboxEvent.objects.filter(pk=row.pk).update(
        attempts=row.attempts, last_error=error, available_at=Now() + delay
    )
