"""Meters that tick by the hour: stored bytes, and the time that deployments were ready.

Each counts whole hours, from its watermark to the last hour that ended `LAG` ago, in one
transaction with the watermark's row locked. So it may run late (it catches up), twice (an hour is
counted once) and at the same time as another. Facts of the past decide, never the present state.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import structlog
from django.db import connections

from tenants.kernel.clock import database_now
from tenants.kernel.errors import BreakwaterError
from tenants.kernel.scope import SYSTEM, atomic, system_scope
from tenants.pricing.charge_requests import ChargeItem, ChargeRequest
from tenants.pricing.services import usage_charges
from tenants.usage.ingestion import NewUsage
from tenants.usage.services import usage_record
from workers.serving.models import MeterWatermark

log = structlog.get_logger(__name__)

HOUR = dt.timedelta(hours=1)
LAG = dt.timedelta(minutes=5)  # by then a transaction that began within the hour has committed
MOST_HOURS = 48  # in one run; the next goes on
SOURCE = "platform"
BYTES = Decimal(10) ** 9  # of a GB
SECONDS = Decimal(3600)
TWELFTH = Decimal(1).scaleb(-12)

# Equal content of one tenant is stored once, under one key, however many rows name it: what counts
# is the time through which at least one of them held it. What was deleted no longer counts, though
# its bytes may stay a while so that it can be brought back.
STORED = """
    WITH rows AS (
        SELECT tenant_id, storage_key, bytes, created_at, deleted_at FROM file
        UNION ALL
        SELECT tenant_id, storage_key, bytes, created_at, deleted_at FROM model_version
        UNION ALL
        SELECT tenant_id, storage_key, bytes, created_at, deleted_at FROM snapshot
    ), stored AS (
        SELECT rows.tenant_id, storage_key, max(bytes) AS bytes,
               range_agg(tstzrange(rows.created_at, CASE WHEN deleted_at IS NOT NULL
                         THEN greatest(deleted_at, rows.created_at) END)) AS held
        FROM rows JOIN tenant ON tenant.id = rows.tenant_id AND NOT tenant.is_platform
        WHERE rows.created_at < %(until)s AND (deleted_at IS NULL OR deleted_at > %(since)s)
        GROUP BY rows.tenant_id, storage_key
    ), hours AS (
        SELECT hour, tstzrange(hour, hour + interval '1 hour') AS span
        FROM unnest(%(hours)s::timestamptz[]) AS hour
    )
    SELECT tenant_id, hour, sum(bytes * (
        SELECT sum(extract(epoch FROM upper(piece) - lower(piece)))
        FROM unnest(held * tstzmultirange(span)) AS piece
    ))
    FROM stored JOIN hours ON held && span
    GROUP BY tenant_id, hour ORDER BY tenant_id, hour
"""
READY = """
    SELECT span.tenant_id, deployment.id, deployment.wakings, deployment.model,
           deployment.base_id, hour,
           sum(extract(epoch FROM least(coalesce(ended_at, 'infinity'), hour + interval '1 hour')
                                  - greatest(started_at, hour)))
    FROM unnest(%(hours)s::timestamptz[]) AS hour
    JOIN ready_span AS span ON span.started_at < hour + interval '1 hour'
                           AND (span.ended_at IS NULL OR span.ended_at > hour)
    JOIN deployment ON deployment.id = span.deployment_id
    JOIN tenant ON tenant.id = span.tenant_id AND NOT tenant.is_platform
    GROUP BY span.tenant_id, deployment.id, hour
    ORDER BY span.tenant_id, deployment.id, hour
"""


def storage_meter(*, at: dt.datetime | None = None) -> int:
    """Count `storage.gb_hours` of every tenant, for each hour that has ended; return how many
    events. `at` stands for the database's now.
    """
    counted = 0
    with system_scope():
        for tenant_id, hour, byte_seconds in _rows("storage.gb_hours", STORED, at):
            event = _event("storage.gb_hours", f"storage:{_name(hour)}", hour, byte_seconds / BYTES)
            counted += usage_record(tenant_id=tenant_id, events=[event])
    return counted


def deployments_meter(*, at: dt.datetime | None = None) -> int:
    """Count `deployment.hours`: the ready time of each deployment in each hour that has ended.

    Charged in the same transaction, first from what was set aside for it (`rent.py`). What cannot
    be charged is counted all the same: pricing's sweep tries again, and the statement.
    """
    counted = 0
    with system_scope():
        charges = []
        for tenant_id, deployment_id, wakings, model, base, hour, seconds in _rows(
            "deployment.hours", READY, at
        ):
            dimensions = {"model": model, "base": base, "deployment_id": deployment_id}
            key = f"deployment:{deployment_id}:{_name(hour)}"
            event = _event("deployment.hours", key, hour, seconds, **dimensions)
            if usage_record(tenant_id=tenant_id, events=[event]):
                hold_key = f"deployment:{deployment_id}:{wakings}"
                charges.append(_charge(tenant_id, deployment_id, event, hold_key))
                counted += 1
        _sell(charges)
    return counted


def _sell(charges: Sequence[ChargeRequest]) -> None:
    """Together; where one is refused, apart, so that it keeps nobody else."""
    try:
        with atomic():
            usage_charges(requests=charges)
    except BreakwaterError as error:
        if len(charges) > 1:
            for charge in charges:
                _sell([charge])
            return
        log.warning("hours wait uncharged", key=charges[0].key, reason=error.message)


def _charge(tenant_id: str, deployment_id: str, event: NewUsage, hold_key: str) -> ChargeRequest:
    """Of the sweep's kind: deployments count apart from requests and jobs."""
    return ChargeRequest(
        tenant_id=tenant_id,
        key=event.key,
        subject_kind="sweep",
        subject_id=deployment_id,
        items=[ChargeItem(event.meter, event.quantity, event.dimensions, event.event_time)],
        hold_key=hold_key,
        keep_hold=True,
        labels={"model": event.dimensions["model"]},
    )


def _event(
    meter: str, key: str, hour: dt.datetime, seconds: Decimal, **dimensions: str
) -> NewUsage:
    """The hour's event; it happened when the hour began, so that it belongs to that month."""
    return NewUsage(
        meter=meter,
        quantity=(seconds / SECONDS).quantize(TWELFTH, rounding=ROUND_HALF_EVEN),
        event_time=hour,
        source=SOURCE,
        key=key,
        dimensions=dimensions,
    )


def _rows(meter: str, statement: str, at: dt.datetime | None) -> Iterator[tuple[Any, ...]]:
    """What the statement finds of the hours that are due; they then count as done."""
    while hours := _hours_due(meter, at or database_now()):
        with connections[SYSTEM].cursor() as cursor:
            ends = {"since": hours[0], "until": hours[-1] + HOUR}
            cursor.execute(statement, {"hours": list(hours), **ends})
            yield from cursor.fetchall()


def _hours_due(meter: str, at: dt.datetime) -> Sequence[dt.datetime]:
    """The next hours to count, marked as counted. A meter begins with the hour it is born in."""
    born = at.replace(minute=0, second=0, microsecond=0)
    MeterWatermark.objects.bulk_create(
        [MeterWatermark(meter=meter, until=born)], ignore_conflicts=True
    )
    mark = MeterWatermark.objects.select_for_update().get(pk=meter)
    end = (at - LAG).replace(minute=0, second=0, microsecond=0)
    count = min(max(int((end - mark.until) / HOUR), 0), MOST_HOURS)
    hours = [mark.until + number * HOUR for number in range(count)]
    if hours:
        mark.until = hours[-1] + HOUR
        mark.save(update_fields=["until"])
    return hours


def _name(hour: dt.datetime) -> str:
    return hour.astimezone(dt.UTC).strftime("%Y-%m-%dT%H")
