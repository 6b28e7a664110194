"""Conservation: the slot-seconds of each worker sum to the clock, from its start to its last beat.

System scope.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

from django.db.models import Max

from tenants.costs.balance import SlotBalance
from tenants.costs.models import CostEntry
from tenants.costs.selectors import slots_balance
from workers.jobs.models import Worker

LEAST = dt.timedelta(seconds=30)  # lived for less, a worker has little to account for
BOUND = Decimal("0.001")  # of the clock


def clocks_balance(*, since: dt.datetime) -> Iterator[SlotBalance]:
    """Each slot of each worker heard of since, on the clock that it lived by since then.

    A worker accounts for the time of all its slots at once, right after each heartbeat.
    """
    for worker in Worker.objects.filter(heartbeat_at__gt=since).order_by("id"):
        entries = CostEntry.objects.filter(worker=worker.id, slot__isnull=False)
        told = entries.aggregate(last=Max("ended_at"))["last"] or worker.heartbeat_at
        begin, end = max(worker.started_at, since), min(worker.heartbeat_at, told)
        if end - begin >= LEAST:
            yield from slots_balance(worker.id, begin, end, slots=worker.slots)


def clock_error(balances: list[SlotBalance]) -> Decimal:
    """Missing and doubled time of all of them, as a share of their clocks."""
    clock = sum((balance.clock for balance in balances), Decimal(0))
    wrong = sum((balance.missing + balance.doubled for balance in balances), Decimal(0))
    return wrong / clock if clock else Decimal(0)
