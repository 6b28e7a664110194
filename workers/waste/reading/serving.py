"""Targets: when their deployments were called, how many replicas there were and were needed."""

from __future__ import annotations

import datetime as dt
import statistics
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Q, Sum
from django.db.models.functions import TruncMinute

from tenants.costs.selectors import SERVED, job_costs
from tenants.pricing.cards import period_of
from tenants.pricing.selectors import tenant_terms
from tenants.usage.selectors import usage_events, usage_hours
from workers.jobs.models import Job
from workers.jobs.states import Kind, State
from workers.serving.models import Deployment, ReadySpan, Replica
from workers.serving.rent import hour_price
from workers.waste.facts import Compressed, Level, Target
from workers.waste.facts import Deployment as Called
from workers.waste.reading.window import Window, levels_of

LONGEST_LOAD = dt.timedelta(minutes=10)
WEEK_S = 7 * 86400.0  # has its peaks; what was watched for less is not judged by them
MINUTE_S = 60.0
NEWEST = 500  # compressions that are looked at
Uses = Mapping[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class _Seen:
    """What was read of all targets at once."""

    uses: Uses
    rents: Mapping[str, Decimal]  # by deployment
    tokens: Mapping[str, dict[float, float]]  # by model, by the hour's start
    ready: Mapping[str, list[dt.datetime]]  # by target: when a deployment of it became ready
    compressed: Mapping[str, tuple[Compressed, ...]]  # by target


def targets_read(window: Window, uses: Uses) -> list[Target]:
    """Every target that was awake in the window, or is."""
    rows: dict[str, list[Deployment]] = {}
    there = Deployment.objects.filter(deleted_at__isnull=True).select_related("tenant")
    for row in there.order_by("target", "id"):
        rows.setdefault(row.target, []).append(row)
    replicas: dict[str, list[Replica]] = {}
    running = Replica.objects.filter(Q(stopped_at__isnull=True) | Q(stopped_at__gt=window.since))
    for replica in running.select_related("job").order_by("started_at"):
        replicas.setdefault(replica.target, []).append(replica)
    called = [row for own in rows.values() for row in own if uses.get(row.model)]
    first = min((r.started_at for own in replicas.values() for r in own), default=window.until)
    seen = _Seen(
        uses=uses,
        rents=_rents(called, window),
        tokens=_tokens_by_hour(window),
        ready=_ready(first),
        compressed=_compressed(),
    )
    return [
        _target(name, rows[name], replicas[name], seen, window)
        for name in sorted(rows.keys() & replicas.keys())
    ]


def _target(
    name: str, own: Sequence[Deployment], replicas: Sequence[Replica], seen: _Seen, window: Window
) -> Target:
    stretches = [window.stretch(r.started_at, r.stopped_at) for r in replicas]
    watched = window.seconds - window.place(min(row.created_at for row in own))
    known = watched >= WEEK_S
    holding = [lv for lv in levels_of(stretches, 0.0, window.seconds) if lv.need]
    owners = {row.tenant_id for row in own}
    return Target(
        id=name,
        resource=f"worker.{replicas[-1].job.queue.rpartition('.')[2]}",
        deployments=tuple(
            Called(
                id=row.id,
                tenant_id=row.tenant_id,
                model=row.model,
                sleep_after_s=float(row.sleep_after_s),
                uses=tuple(seen.uses.get(row.model, ())),
                rent=seen.rents.get(row.id, Decimal(0)),
            )
            for row in own
        ),
        load_s=_load_s(replicas, seen.ready.get(name, ())),
        levels=tuple(_needed(own, stretches, seen.tokens)) if known else (),
        holding=tuple(holding),
        limit=max(row.max_replicas for row in own),
        tenant_id=owners.pop() if len(owners) == 1 else "",
        compressed=seen.compressed.get(name, ()),
    )


def uses_by_model(window: Window) -> Uses:
    """The minutes in which each model was called, as stretches, by its name."""
    rows = usage_events(since=window.since, until=window.until)
    minutes = (
        rows.filter(source="gateway", meter__in=SERVED)
        .order_by()
        .annotate(minute=TruncMinute("event_time", tzinfo=dt.UTC))
        .values_list("model", "minute")
        .distinct()
        .order_by("model", "minute")
    )
    found: dict[str, list[tuple[float, float]]] = {}
    for model, minute in minutes:
        begin = window.place(minute)
        own = found.setdefault(model or "", [])
        if own and begin <= own[-1][1]:
            own[-1] = (own[-1][0], begin + MINUTE_S)
        else:
            own.append((begin, begin + MINUTE_S))
    return found


def _rents(rows: Sequence[Deployment], window: Window) -> dict[str, Decimal]:
    """What each deployment's tenant pays for an hour awake."""
    paying = [row for row in rows if not row.tenant.is_platform]
    period = period_of(window.until)
    terms = tenant_terms(sorted({row.tenant_id for row in paying}), [period])
    return {
        row.id: hour_price(terms[row.tenant_id, period].at(window.until), row) for row in paying
    }


def _ready(since: dt.datetime) -> dict[str, list[dt.datetime]]:
    spans = ReadySpan.objects.filter(started_at__gte=since, deployment__deleted_at__isnull=True)
    found: dict[str, list[dt.datetime]] = {}
    moments = spans.order_by("started_at").values_list("deployment__target", "started_at")
    for target, moment in moments:
        found.setdefault(target, []).append(moment)
    return found


def _load_s(replicas: Sequence[Replica], ready: Sequence[dt.datetime]) -> float | None:
    """From a replica's start to the moment in which a deployment of it was ready; the median."""
    took = []
    for replica in replicas:
        place = bisect_left(ready, replica.started_at)
        if place < len(ready) and ready[place] - replica.started_at <= LONGEST_LOAD:
            took.append((ready[place] - replica.started_at).total_seconds())
    return statistics.median(took) if took else None


def _tokens_by_hour(window: Window) -> dict[str, dict[float, float]]:
    """Tokens that each model served, by the hour's start."""
    rows = usage_hours(since=window.since, until=window.until).filter(meter__in=SERVED)
    sums = rows.order_by().values_list("dimensions__model", "hour").annotate(all=Sum("quantity"))
    found: dict[str, dict[float, float]] = {}
    for model, hour, total in sums:
        found.setdefault(model or "", {})[window.place(hour)] = float(total)
    return found


def _needed(
    own: Sequence[Deployment],
    stretches: Sequence[tuple[float, float]],
    tokens: Mapping[str, dict[float, float]],
) -> Iterable[Level]:
    """Replicas' worth of tokens by hour: a replica serves what one did in its best hour."""
    hours: dict[float, float] = {}
    for row in own:
        for hour, number in tokens.get(row.model, {}).items():
            hours[hour] = hours.get(hour, 0.0) + number
    there = {hour: _replica_hours(stretches, hour) for hour in hours}
    most = max((hours[h] / there[h] for h in hours if there[h] > 0.5), default=0.0)
    if most:
        yield from (Level(number / most, 3600.0) for number in hours.values())


def _replica_hours(stretches: Sequence[tuple[float, float]], hour: float) -> float:
    end = hour + 3600
    return sum(max(0.0, min(stop, end) - max(start, hour)) for start, stop in stretches) / 3600


def _compressed() -> dict[str, tuple[Compressed, ...]]:
    """The newest searches that found a smaller model within the quality asked for, by target."""
    rows = Job.objects.filter(kind=Kind.COMPRESS, state=State.SUCCEEDED)
    newest = rows.order_by("-id")[:NEWEST]
    jobs = [job for job in newest if job.spec.get("settings", {}).get("target")]
    cost = job_costs({job.id for job in jobs})
    found: dict[str, tuple[Compressed, ...]] = {}
    for job in jobs:
        target = job.spec.get("version_id") or job.spec["base_id"]
        metrics = job.result.get("metrics", {})
        if metrics.get("dense_latency_ms") and job.id in cost:
            time = metrics["latency_ms"] / metrics["dense_latency_ms"]
            found[target] = (*found.get(target, ()), Compressed(time, cost[job.id].amount))
    return found
