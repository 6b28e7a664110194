"""Rating a month: totals from the database, terms, charge models, cents; on a durable PostgreSQL.

    python -m tests.benchmarks bench_rating

1,000,000 usage events of 1,000 tenants, on every fourth a contract; graduated prices. The events
are counted from `usage_hour`, except in the hours in which a contract began. Filling the table is
not part of the figure; `events_recorded_per_s` says how long that took.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import time
from decimal import Decimal
from typing import Any

from tests.benchmarks.durable import durable_stores, fsync_ms

TENANTS = 1000
EVENTS = 1_000_000
CHUNK = 20_000
TARGET_S = 60.0
DAYS = 28
METERS = ("tokens.input", "tokens.cached", "tokens.output", "tokens.trained", "storage.gb_hours")


def main() -> dict[str, Any]:
    """Measure and print: seconds for all, events and tenants a second."""
    with durable_stores("rating") as layout:
        tenants = tenants_make()
        recorded = events_fill(tenants)
        result = {
            "events": EVENTS,
            "tenants": TENANTS,
            **rating(tenants),
            "events_recorded_per_s": EVENTS / recorded,
            "fsync_ms": fsync_ms(layout.var),
            "cores": os.cpu_count(),
        }
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return result


def tenants_make() -> list[str]:
    """Make the platform, the tenants and their contracts; return the tenants' ids."""
    from tenants.accounts.actors import Actor, ActorKind
    from tenants.accounts.models import Tenant
    from tenants.accounts.services import platform_tenant_ensure
    from tenants.kernel.scope import system_scope
    from tenants.pricing.models import Contract
    from tests.tenants.pricing.books import prices_with, publish

    actor = Actor(kind=ActorKind.OPERATOR, id="bench", tenant_id=platform_tenant_ensure().id)
    tokens = {
        "model": "graduated",
        "per": "1000000",
        "tiers": [{"up_to": "100000", "unit": "0.60"}, {"up_to": None, "unit": "0.45"}],
    }
    publish(prices_with(tokens_input=tokens), actor=actor)
    names = [f"ten_{number:05}" for number in range(TENANTS)]
    begun = month_start() + dt.timedelta(days=9, hours=13, minutes=17)
    with system_scope():
        Tenant.objects.bulk_create(Tenant(id=name, name=name, slug=name[4:]) for name in names)
        Contract.objects.bulk_create(
            Contract(
                id=f"contract_{name}", tenant_id=name, starts=begun, currency="USD",
                discount=Decimal("0.1"), commitment=Decimal(20),
            )
            for name in names[::4]
        )  # fmt: skip
    return names


def month_start() -> dt.datetime:
    """Of the last whole month: its events lie in the past."""
    first = dt.datetime.now(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first - dt.timedelta(days=1)).replace(day=1)


def events_fill(tenants: list[str]) -> float:
    """Record the events; return the seconds that took."""
    from django.db import connections

    from tenants.kernel.scope import system_scope
    from tenants.usage.ingestion import INSERT, usage_parameters

    began = time.monotonic()
    for start in range(0, EVENTS, CHUNK):
        rows = [(tenants[n % TENANTS], event(n)) for n in range(start, start + CHUNK)]
        with system_scope(), connections["system"].cursor() as cursor:
            cursor.execute(INSERT, usage_parameters(rows))
    return time.monotonic() - began


def event(number: int) -> Any:
    from tenants.usage.ingestion import NewUsage

    turn = number // TENANTS
    meter = METERS[turn % len(METERS)]
    dimensions = {} if meter.startswith("storage") else {"model": f"m{turn % 3}", "base": "mini"}
    if meter == "tokens.trained":
        dimensions["job_id"] = f"job{turn % 40}"
    return NewUsage(
        meter=meter,
        quantity=Decimal(1000 + number % 977),
        event_time=month_start() + dt.timedelta(minutes=turn * DAYS * 1440 // (EVENTS // TENANTS)),
        source="bench",
        key=f"event-{number}",
        dimensions=dimensions,
    )


def rating(tenants: list[str]) -> dict[str, Any]:
    """Count and rate every tenant's month, in the system's scope."""
    from tenants.kernel.scope import system_scope
    from tenants.pricing.canonical import canonical_hash
    from tenants.pricing.rating import PeriodFacts, rate
    from tenants.pricing.selectors import period_counted, tenant_terms

    period = month_start().date()
    began = time.monotonic()
    with system_scope():
        counted = period_counted(tenants, period)
        summed = time.monotonic()
        terms = tenant_terms(tenants, [period])
        rated = [
            rate(PeriodFacts(terms[name, period], "USD", tuple(counted[name]))) for name in tenants
        ]
        hashes = {canonical_hash(one) for one in rated}
    seconds = time.monotonic() - began
    check(rated, counted)
    return {
        "seconds": seconds,
        "counting_s": summed - began,
        "rating_s": seconds - (summed - began),
        "events_per_s": EVENTS / seconds,
        "invoices": len(hashes),
        "target_s": TARGET_S,
        "ok": seconds <= TARGET_S,
    }


def check(rated: list[Any], counted: dict[str, Any]) -> None:
    """No unit of usage is missing, or the figure is worth nothing."""
    wanted = sum(Decimal(1000 + number % 977) for number in range(EVENTS))
    found = sum(total.quantity for totals in counted.values() for total in totals)
    if found != wanted or len(rated) != TENANTS or not all(one.lines for one in rated):
        raise AssertionError(f"{found} units were rated of {wanted}")


if __name__ == "__main__":
    main()
