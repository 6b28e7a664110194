"""What cohorts, compression, utilisation and procurement gained, measured from the work done here.

Each compares what was spent with what the same work would have cost without: jobs that shared
passes with those of their base that ran alone, answers of smaller models with their dense ones',
slots with planned utilisation, prices paid with prices on demand.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.db.models import F, Sum
from django.db.models.functions import TruncDay

from tenants.costs.allocation import Terms
from tenants.costs.commitments import commitments, committed_on
from tenants.costs.daily import DAY, between, days_between, midnight
from tenants.costs.levers import Gain, levers_record, ratio_gain
from tenants.costs.models import CostEntry, LeverMeasurement, Rate
from tenants.costs.selectors import SERVED
from tenants.kernel.clock import database_now
from tenants.kernel.scope import system_scope
from tenants.usage.selectors import usage_totals
from workers.assets.models import ModelVersion
from workers.jobs.compression_costs import compression_costs

LOOKS_BACK = dt.timedelta(days=28)
Lever = LeverMeasurement.Lever
WORKED = (CostEntry.Purpose.JOB, CostEntry.Purpose.RETRY)


def levers_measure() -> int:
    """Measure the last four weeks, today included; return how many levers could be."""
    with system_scope():
        until = midnight(database_now() + DAY)
        since = until - LOOKS_BACK
        gains = list(gains_between(since, until))
        return levers_record(since=since, until=until, gains=gains)


def gains_between(since: dt.datetime, until: dt.datetime) -> Iterator[Gain]:
    """Each lever that was used; the others are left out."""
    for measure in (cohort_gain, compression_gain, utilisation_gain, procurement_gain):
        gain = measure(since, until)
        if gain is not None:
            yield gain


def cohort_gain(since: dt.datetime, until: dt.datetime) -> Gain | None:
    """Jobs that shared passes, at what a token of their base cost those that ran alone."""
    tokens = _tokens_by_job(since, until)
    spent = _spent_by_job(since, until)
    alone: dict[str, tuple[Decimal, Decimal]] = {}
    shared: list[tuple[str, Decimal, Decimal]] = []
    for (job_id, base), (cost, in_cohort) in spent.items():
        count = tokens.get(job_id, Decimal(0))
        if not count:
            continue
        if in_cohort:
            shared.append((base, cost, count))
        else:
            before = alone.get(base, (Decimal(0), Decimal(0)))
            alone[base] = (before[0] + cost, before[1] + count)
    pairs = [
        (cost, alone[base][0] / alone[base][1] * count)
        for base, cost, count in shared
        if base in alone
    ]
    return _gain(Lever.COHORT, pairs, {"jobs_alone_of_bases": len(alone)})


def compression_gain(since: dt.datetime, until: dt.datetime) -> Gain | None:
    """Tokens that smaller models served, at what they cost before and after, slots kept busy.

    Where none was served yet, what the compressions themselves measured, for no money.
    """
    served = {
        str(total.dimensions["model"]): total.quantity
        for total in usage_totals(meters=SERVED, since=since, until=until, group_by=["model"])
    }
    costs = list(compression_costs())
    tokens_of: dict[str, Decimal] = {}  # by compression, of all that it made
    made = ModelVersion.objects.filter(job_id__in=[cost.job.id for cost in costs])
    for job_id, name in made.values_list("job_id", "name"):
        tokens_of[job_id] = tokens_of.get(job_id, Decimal(0)) + served.get(name, Decimal(0))
    used = [(cost, tokens_of.get(cost.job.id, Decimal(0))) for cost in costs]
    millions = [
        (cost.after.cost.amount * tokens / 10**6, cost.before.cost.amount * tokens / 10**6)
        for cost, tokens in used
        if tokens
    ]
    if millions:
        return _gain(Lever.COMPRESSION, millions, {"compressions": len(costs)})
    pairs = [(cost.after.cost.amount, cost.before.cost.amount) for cost in costs]
    found = _gain(Lever.COMPRESSION, pairs, {"compressions": len(costs), "served": 0})
    return None if found is None else replace(found, saved=Decimal(0))


def utilisation_gain(since: dt.datetime, until: dt.datetime) -> Gain | None:
    """What each day's work would have taken at planned utilisation, against all that was paid.

    Negative where slots waited more than planned: that much could be gained.
    """
    planned = Terms().planned_utilisation
    days: dict[dt.date, list[Decimal]] = {}
    rows = days_between(since, until).order_by().values_list("day", "purpose")
    for day, purpose, amount in rows.annotate(Sum("amount")):
        cell = days.setdefault(day, [Decimal(0), Decimal(0)])
        cell[0] += amount
        cell[1] += amount if purpose in WORKED else Decimal(0)
    pairs = [(paid, worked / planned) for paid, worked in days.values() if worked]
    busy = sum((cell[1] for cell in days.values()), Decimal(0))
    paid = sum((cell[0] for cell in days.values()), Decimal(0))
    used = float(busy / paid) if paid else 0.0
    return _gain(Lever.UTILISATION, pairs, {"utilisation": round(used, 4), "planned": str(planned)})


def procurement_gain(since: dt.datetime, until: dt.datetime) -> Gain | None:
    """What each day's slot time was bought for, against its price on demand then.

    What adopted plans have committed to is paid even where no slot was booked at it.
    """
    entries = between(since, until).filter(slot__isnull=False)
    if not entries.exclude(rate__kind=Rate.Kind.ON_DEMAND).exists():
        return None  # nothing was bought otherwise
    rates = list(Rate.objects.filter(kind=Rate.Kind.ON_DEMAND).order_by("valid_from"))
    day = TruncDay("started_at", tzinfo=dt.UTC)
    rows: Any = entries.annotate(day=day).order_by().values_list("day", "resource_id")
    days: dict[dt.datetime, list[Decimal]] = {}
    for moment, resource, seconds, amount in rows.annotate(Sum("quantity"), Sum("amount")):
        price = _price_at(rates, resource, moment)
        if price is not None:
            cell = days.setdefault(moment, [Decimal(0), Decimal(0)])
            cell[0] += amount
            cell[1] += seconds * price
    unused = _committed_unused(days, entries)
    pairs = [(paid + unused[moment], full) for moment, (paid, full) in days.items()]
    evidence = {"committed_unused": f"{sum(unused.values(), Decimal(0)):f}"}
    return _gain(Lever.PROCUREMENT, pairs, evidence)


def _committed_unused(days: Collection[dt.datetime], entries: Any) -> dict[dt.datetime, Decimal]:
    """By day, what was committed to ahead less what slots were booked at reserved and owned rates,
    of today up to now; no day is counted on which none was.
    """
    kept = entries.filter(rate__kind__in=(Rate.Kind.RESERVED, Rate.Kind.OWNED))
    rows = kept.annotate(day=TruncDay("started_at", tzinfo=dt.UTC)).order_by().values_list("day")
    booked: dict[dt.datetime, Decimal] = dict(rows.annotate(Sum("amount")))
    bought, moment = list(commitments(before=dt.date.max)), database_now()

    def committed(day: dt.datetime) -> Decimal:
        passed = min(1.0, (moment - day) / DAY)
        return round(committed_on(day.date(), bought) * Decimal(passed), 6)

    return {
        day: max(Decimal(0), committed(day) - booked[day]) if day in booked else Decimal(0)
        for day in days
    }


def _gain(
    lever: str, pairs: Sequence[tuple[Decimal, Decimal]], evidence: dict[str, Any]
) -> Gain | None:
    """From (spent, what it would have been); None where there is nothing."""
    whole = sum((instead for _, instead in pairs), Decimal(0))
    if whole <= 0:
        return None
    spent = sum((cost for cost, _ in pairs), Decimal(0))
    point, low, high = ratio_gain(
        [float(cost) for cost, _ in pairs], [float(instead) for _, instead in pairs]
    )
    return Gain(lever, point, low, high, whole - spent, len(pairs), evidence)


def _price_at(rates: Sequence[Rate], resource: str, moment: dt.datetime) -> Decimal | None:
    found = [r.amount for r in rates if r.resource_id == resource and r.valid_from <= moment + DAY]
    return found[-1] if found else None


def _tokens_by_job(since: dt.datetime, until: dt.datetime) -> dict[str, Decimal]:
    totals = usage_totals(meters=["tokens.trained"], since=since, until=until, group_by=["job_id"])
    return {str(total.dimensions["job_id"]): total.quantity for total in totals}


def _spent_by_job(
    since: dt.datetime, until: dt.datetime
) -> dict[tuple[str, str], tuple[Decimal, bool]]:
    """Each fine-tune's cost without retries, by (job, base), and whether a cohort did any of it."""
    rows = between(since, until).filter(
        purpose=CostEntry.Purpose.JOB, labels__kind="fine_tune", job_id__gt=""
    )
    sums = rows.order_by().values_list("job_id", "labels__base", "labels__cohort")
    found: dict[tuple[str, str], tuple[Decimal, bool]] = {}
    for job_id, base, cohort, amount in sums.annotate(all=Sum(F("amount"))):
        cost, before = found.get((job_id, base or ""), (Decimal(0), False))
        found[job_id, base or ""] = (cost + amount, before or bool(cohort))
    return found
