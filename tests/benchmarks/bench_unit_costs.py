"""The unit-cost page over 1,000,000 cost entries, on a durable PostgreSQL.

    python -m tests.benchmarks bench_unit_costs

Entries of 1,000 tenants and 50 workers over 30 days, four base models; a median of five. Filling
the table is not part of the figure; `entries_recorded_per_s` says how long that took.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.benchmarks.durable import durable_stores, fsync_ms

ENTRIES = 1_000_000
CHUNK = 5_000
TENANTS = 1000
WORKERS = 50
DAYS = 30
TARGET_MS = 300.0
RUNS = 5


def main() -> dict[str, Any]:
    """Measure and print: milliseconds for each read, and the page as a whole."""
    with durable_stores("unit_costs") as layout:
        recorded = entries_fill()
        usage_fill()
        result = {
            "entries": ENTRIES,
            **reading(),
            "entries_recorded_per_s": ENTRIES / recorded,
            "fsync_ms": fsync_ms(layout.var),
            "cores": os.cpu_count(),
        }
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return result


def first_day() -> dt.datetime:
    today = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - dt.timedelta(days=DAYS)


def entries_fill() -> float:
    """Record the entries through the service; return the seconds that took."""
    from tenants.costs.services import resources_ensure, slot_time_record
    from tenants.kernel.scope import system_scope

    with system_scope():
        resources_ensure()
    began = time.monotonic()
    for start in range(0, ENTRIES, CHUNK):
        with system_scope():
            slot_time_record(entries=[entry(n) for n in range(start, start + CHUNK)])
    return time.monotonic() - began


def usage_fill() -> None:
    """Each tenant's tokens of each day, of one of the models."""
    from django.db import connections

    from tenants.accounts.models import Tenant
    from tenants.kernel.scope import system_scope
    from tenants.usage.ingestion import INSERT, NewUsage, usage_parameters

    names = [f"ten_{number}" for number in range(TENANTS)]
    with system_scope():
        Tenant.objects.bulk_create(Tenant(id=name, name=name, slug=name[4:]) for name in names)
    for day in range(DAYS):
        rows = [
            (
                name,
                NewUsage(
                    meter="tokens.output",
                    quantity=Decimal(1000 + number),
                    event_time=first_day() + dt.timedelta(days=day, hours=number % 24),
                    source="gateway",
                    key=f"{name}:{day}",
                    dimensions={"model": f"base{number % 4}", "base": f"base{number % 4}"},
                ),
            )
            for number, name in enumerate(names)
        ]
        with system_scope(), connections["system"].cursor() as cursor:
            cursor.execute(INSERT, usage_parameters(rows))


def entry(number: int) -> Any:
    from tenants.costs.slot_time import SlotTime

    worker, turn = number % WORKERS, number // WORKERS
    length = DAYS * 86400 * WORKERS / ENTRIES
    start = first_day() + dt.timedelta(seconds=turn * length)
    idle = number % 7 == 0
    kind = ("serve", "fine_tune")[turn % 2]
    whose: dict[str, Any] = {
        "tenant_id": f"ten_{number * 7919 % TENANTS}",
        "job_id": f"job_{number // 40}",
        "attempt": 1,
        "labels": {"kind": kind, "base": f"base{turn % 4}", "method": "lora"},
    }
    return SlotTime(
        worker=f"w{worker}",
        slot=0,
        resource="worker.gpu",
        purpose="idle" if idle else "job",
        started_at=start,
        ended_at=start + dt.timedelta(seconds=length),
        key=f"w{worker}:{turn}",
        **({} if idle else whose),
    )


def reading() -> dict[str, Any]:
    from tenants.costs.explorer import costs_by_day
    from tenants.costs.selectors import unit_costs
    from tenants.costs.unit_economics import unit_economics
    from tenants.kernel.scope import system_scope

    since = first_day()
    reads: dict[str, Callable[[], Any]] = {
        "units": lambda: unit_economics(since=since, until=since + dt.timedelta(days=DAYS)),
        "measured": lambda: unit_costs(since=since),
        "by_day": lambda: costs_by_day(group="base", since=since),
        "by_tenant": lambda: costs_by_day(group="tenant", since=since),
    }
    with system_scope():
        check()
        found = {f"{name}_ms": median_ms(read) for name, read in reads.items()}
    page = found["units_ms"] + found["measured_ms"] + found["by_day_ms"]
    return {**found, "page_ms": page, "target_ms": TARGET_MS, "ok": page <= TARGET_MS}


def median_ms(read: Callable[[], Any]) -> float:
    taken = []
    for _ in range(RUNS):
        began = time.monotonic()
        read()
        taken.append((time.monotonic() - began) * 1000)
    return statistics.median(taken)


def check() -> None:
    """No entry is missing, or the figure is worth nothing."""
    from django.db.models import Sum

    from tenants.costs.models import CostDay, CostEntry

    summed = CostDay.objects.aggregate(amount=Sum("amount"), entries=Sum("entries"))
    whole: Decimal = CostEntry.objects.aggregate(amount=Sum("amount"))["amount"]
    if summed != {"amount": whole, "entries": ENTRIES}:
        raise AssertionError(f"the days say {summed}, the entries {whole}")


if __name__ == "__main__":
    main()
