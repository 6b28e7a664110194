"""Usage told to the plugins that wish to hear of it: in order of arrival, each event at least once.

Events come by too many ways, and too many of them, for a row of the outbox each. An installation
has a cursor instead; what arrived after it, and is SETTLED, is told. An event comes twice where
this process ends in the middle of a batch, always under its own key.
"""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from plugins.host.facts import NOT_CALLED
from plugins.sdk.contracts import UsageRecorded
from tenants.kernel.clock import database_now
from tenants.kernel.scope import system_scope
from tenants.partners.calls import hooks_call
from tenants.partners.models import Installation
from tenants.partners.selectors import hearers
from tenants.usage.ingestion import plain_quantity
from tenants.usage.models import UsageEvent, UsageTold

HOOK = "usage_recorded"
SETTLED = dt.timedelta(minutes=2)  # after which every transaction that records usage has ended
BATCH = 100
CALL_S, ROUND_S = 5.0, 5.0
TAKEN = dt.timedelta(minutes=2)  # longer than a round and a call


def usage_tell(*, until: dt.datetime | None = None, round_s: float = ROUND_S) -> int:
    """Tell what came until then (now, less SETTLED); return how many events were told.

    Outside of any scope. Installations take turns, so that a slow plugin costs the others a round
    at most. An event that a plugin fails on is on its health, and not told again; one that could
    not be told waits, and what came after it does too.
    """
    with system_scope():
        arrived = until or database_now() - SETTLED
        # one whose hooks were never noted is not started for each event, to learn that it has none
        known = hearers(HOOK).filter(release__offers__has_key="hooks")
        waiting = _waiting(list(known), arrived)
    ends, count = time.monotonic() + round_s, 0
    for installation in waiting:
        if time.monotonic() >= ends:
            break
        count += _tell(installation, arrived, ends)
    return count


def _waiting(installations: list[Installation], until: dt.datetime) -> list[Installation]:
    """Those with something to hear, the one whose turn was longest ago first."""
    _open(installations)
    known = {each.id: each for each in installations}
    later = _after(OuterRef("tenant_id"), OuterRef("ingested_at"), OuterRef("event_id"), until)
    cursors = UsageTold.objects.filter(Exists(later), pk__in=known, due_at__lte=Now())
    turns = cursors.order_by("due_at", "installation_id").values_list("pk", flat=True)
    return [known[each] for each in turns]


def _open(installations: list[Installation]) -> None:
    """A cursor for each: it hears of what comes after it was enabled."""
    UsageTold.objects.bulk_create(
        (
            UsageTold(
                installation_id=each.id, tenant_id=each.tenant_id, ingested_at=each.created_at
            )
            for each in installations
        ),
        ignore_conflicts=True,
    )


def _tell(installation: Installation, until: dt.datetime, ends: float) -> int:
    taken = _taken(installation, until)
    if taken is None:
        return 0
    cursor, events = taken
    wait, told = dt.timedelta(0), 0
    for event in events:
        if time.monotonic() >= ends:
            break
        if not _heard(installation, event):
            wait = TAKEN
            break
        cursor.ingested_at, cursor.event_id = event.ingested_at, event.id
        told += 1
    with system_scope():
        cursor.due_at = Now() + wait
        cursor.save(update_fields=["ingested_at", "event_id", "due_at"])
    return told


def _taken(
    installation: Installation, until: dt.datetime
) -> tuple[UsageTold, list[UsageEvent]] | None:
    """The cursor, taken from other workers for a while, and the next events."""
    with system_scope():
        free = UsageTold.objects.select_for_update(skip_locked=True).filter(due_at__lte=Now())
        cursor: UsageTold | None = free.filter(pk=installation.id).first()
        if cursor is None:
            return None
        later = _after(cursor.tenant_id, cursor.ingested_at, cursor.event_id, until)
        events = list(later[:BATCH])
        if not events:
            return None
        cursor.due_at = Now() + TAKEN
        cursor.save(update_fields=["due_at"])
        return cursor, events


def _after(
    tenant_id: str | OuterRef,
    ingested_at: dt.datetime | OuterRef,
    event_id: str | OuterRef,
    until: dt.datetime,
) -> QuerySet[UsageEvent]:
    """What comes after a cursor, which may be another query's row."""
    later = Q(ingested_at__gt=ingested_at)
    beside = Q(ingested_at=ingested_at, id__gt=event_id)
    rows: QuerySet[UsageEvent] = UsageEvent.objects.filter(
        later | beside,
        tenant_id=tenant_id,
        ingested_at__gte=ingested_at,  # for the index
        ingested_at__lte=until,
    )
    return rows.order_by("ingested_at", "id")


def _heard(installation: Installation, event: UsageEvent) -> bool:
    quantity = Decimal(plain_quantity(event.quantity))
    outcomes = hooks_call(
        installation.tenant_id,
        HOOK,
        {"usage": UsageRecorded(event.key, event.meter, quantity)},
        plugin=installation.plugin,
        timeout=CALL_S,
    )
    return not any(each.failure and each.failure.kind in NOT_CALLED for each in outcomes)
