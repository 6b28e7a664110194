"""How good quotes were: what jobs were rated and took, beside what was quoted, by class of work.

A quote's expected case is meant as the middle (p50) and its high case as the 90th percentile and
more: `p50` and `p90` are the shares of jobs that stayed within each. Rated is what was counted at
its price, changed as plugins changed the quote, before the quote's own cap. Only jobs that
succeeded; reads of the system.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from django.db.models import Sum

from tenants.costs.models import CostEntry
from tenants.kernel.errors import InvalidInput
from tenants.pricing.models import ChargeLine, Quote
from tenants.pricing.rating import ADJUSTMENT, USAGE
from workers.jobs.models import Job
from workers.jobs.money import SUBJECT
from workers.jobs.states import State

MOST = 5000  # jobs looked at, the latest first


@dataclass(frozen=True)
class Case:
    """One job's quote and outcome, of one measure; `actual` in the quote's unit."""

    kind: str
    base: str
    method: str
    device: str
    expected: Decimal
    high: Decimal
    actual: Decimal


@dataclass(frozen=True)
class Calibration:
    """Of one class and measure (`money` or `time`): shares of one, and ratios.

    `ratio` is the median of actual / expected; `ratio_90` its 90th percentile (nearest rank).
    """

    measure: str
    kind: str
    base: str
    method: str
    device: str
    jobs: int
    p50: Decimal
    p90: Decimal
    ratio: Decimal
    ratio_90: Decimal


def calibrations(*, since: dt.datetime) -> list[Calibration]:
    """Every class of jobs that were quoted and succeeded since, for money and for time."""
    jobs = Job.objects.filter(
        state=State.SUCCEEDED, finished_at__gte=since, quote_id__gt=""
    ).order_by("-finished_at")[:MOST]
    found = list(jobs.values("id", "kind", "spec", "quote_id"))
    quotes = Quote.objects.in_bulk({job["quote_id"] for job in found})
    rated, seconds, devices = _rated(quotes), *_time(job["id"] for job in found)
    money, time = [], []
    for job in found:
        quote = quotes.get(job["quote_id"])
        if quote is None:
            continue
        spec = job["spec"]
        labels = (
            job["kind"],
            str(spec.get("base_id") or ""),
            str((spec.get("settings") or {}).get("method") or ""),
            devices.get(job["id"], ""),
        )
        if job["id"] in rated and quote.expected_net > 0:
            money.append(Case(*labels, quote.expected_net, quote.high_net, rated[job["id"]]))
        if quote.seconds and job["id"] in seconds and Decimal(quote.seconds[1]) > 0:
            _, expected, high = map(Decimal, quote.seconds)
            time.append(Case(*labels, expected, high, seconds[job["id"]]))
    return [*calibrated("money", money), *calibrated("time", time)]


def calibrated(measure: str, cases: Iterable[Case]) -> list[Calibration]:
    """Sum cases up by class. Pure. Raises InvalidInput where nothing was expected."""
    classes: dict[tuple[str, str, str, str], list[Case]] = {}
    for case in cases:
        if case.expected <= 0:
            raise InvalidInput("a quote that expects nothing says nothing", param="expected")
        place = (case.kind, case.base, case.method, case.device)
        classes.setdefault(place, []).append(case)
    return [_summed(measure, place, found) for place, found in sorted(classes.items())]


def _summed(measure: str, place: tuple[str, str, str, str], cases: Sequence[Case]) -> Calibration:
    ratios = sorted(case.actual / case.expected for case in cases)
    number = len(cases)
    return Calibration(
        measure,
        *place,
        jobs=number,
        p50=Decimal(sum(case.actual <= case.expected for case in cases)) / number,
        p90=Decimal(sum(case.actual <= case.high for case in cases)) / number,
        ratio=median(ratios),
        ratio_90=ratios[-(-9 * number // 10) - 1],
    )


def _rated(quotes: Mapping[str, Quote]) -> dict[str, Decimal]:
    """By job, what the work that its quote counted was rated before any cap.

    What the engine did for a step of a pipeline was quoted apart, though the pipeline is charged.
    """
    counted = {key: {line["meter"] for line in quote.lines} for key, quote in quotes.items()}
    lines = ChargeLine.objects.filter(
        kind__in=(USAGE, ADJUSTMENT), charge__subject_kind=SUBJECT, charge__quote_id__in=counted
    ).order_by()
    rated: dict[str, Decimal] = {}
    sums = lines.values_list("charge__subject_id", "charge__quote_id", "meter")
    for job_id, quote_id, meter, net in sums.annotate(Sum("net")):
        if meter in counted[quote_id]:
            rated[job_id] = rated.get(job_id, Decimal(0)) + net
    return rated


def _time(job_ids: Iterable[str]) -> tuple[dict[str, Decimal], dict[str, str]]:
    """By job, the seconds of a slot that it took, work done again apart; and on what."""
    seconds: dict[str, Decimal] = {}
    devices: dict[str, str] = {}
    entries = CostEntry.objects.filter(job_id__in=list(job_ids), purpose=CostEntry.Purpose.JOB)
    sums = entries.order_by().values_list("job_id", "resource_id").annotate(Sum("quantity"))
    for job_id, resource, quantity in sums:
        seconds[job_id] = seconds.get(job_id, Decimal(0)) + quantity
        devices[job_id] = resource
    return seconds, devices
