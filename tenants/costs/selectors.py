"""Reads of costs, in the system's scope: what a job cost, where slots' time went, unit costs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from django.db.models import Sum
from django.db.models.functions import Now

from tenants.costs.balance import SlotBalance, Stretch, slot_balance
from tenants.costs.daily import KEPT_BY_DAY, between, cost_stretches, grouped
from tenants.costs.defaults import CURRENCY
from tenants.costs.models import CostEntry, Rate
from tenants.costs.rates import per_units
from tenants.kernel.money import Money
from tenants.usage.selectors import usage_total, usage_totals

MILLION = 1_000_000
SERVED = ("tokens.input", "tokens.cached", "tokens.output", "tokens.embedded")

Grouping = Literal[
    "purpose", "resource", "tenant", "job", "worker", "hour", "day", "kind", "base", "method"
]


@dataclass(frozen=True)
class AttemptCost:
    """One attempt's time: `retry` is work that an earlier attempt had done before it was lost."""

    attempt: int
    job: Money
    retry: Money
    seconds: Decimal


@dataclass(frozen=True)
class JobCost:
    job_id: str
    total: Money
    retry: Money  # the part of `total` that was spent on doing work again
    seconds: Decimal
    attempts: tuple[AttemptCost, ...]


@dataclass(frozen=True)
class CostTotal:
    """Cost and time of the entries that share `group`, one value for each grouping asked for."""

    group: tuple[Any, ...]
    cost: Money
    seconds: Decimal
    entries: int


@dataclass(frozen=True)
class UnitCost:
    """What `tokens` tokens cost, and a million of them (None where there were none)."""

    cost: Money
    tokens: Decimal
    per_million: Money | None


def job_cost(job_id: str) -> Money:
    """What a job has cost so far, repeated work included."""
    return job_cost_breakdown(job_id).total


def job_costs(job_ids: Collection[str]) -> dict[str, Money]:
    """The same of many jobs, by id; one of which the books know nothing is missing."""
    rows = CostEntry.objects.filter(job_id__in=job_ids).order_by().values_list("job_id")
    return {job_id: _money(total) for job_id, total in rows.annotate(Sum("amount"))}


def job_cost_breakdown(job_id: str) -> JobCost:
    """A job's cost by attempt, with repeated work apart."""
    rows = (
        CostEntry.objects.filter(job_id=job_id)
        .values("attempt", "purpose")
        .annotate(amount=Sum("amount"), seconds=Sum("quantity"))
        .order_by("attempt", "purpose")
    )
    amounts: dict[int, dict[str, Decimal]] = {}
    seconds: dict[int, Decimal] = {}
    for row in rows:
        attempt = row["attempt"] or 0
        amounts.setdefault(attempt, {})[row["purpose"]] = row["amount"]
        seconds[attempt] = seconds.get(attempt, Decimal(0)) + row["seconds"]
    attempts = tuple(
        AttemptCost(
            attempt=attempt,
            job=_money(by_purpose.get(CostEntry.Purpose.JOB)),
            retry=_money(by_purpose.get(CostEntry.Purpose.RETRY)),
            seconds=seconds[attempt],
        )
        for attempt, by_purpose in amounts.items()
    )
    retry = sum((a.retry for a in attempts), Money.zero(CURRENCY))
    return JobCost(
        job_id=job_id,
        total=sum((a.job for a in attempts), retry),
        retry=retry,
        seconds=sum(seconds.values(), Decimal(0)),
        attempts=attempts,
    )


def rates_now() -> dict[str, Money]:
    """What a unit of each resource costs on demand now (system scope)."""
    rates = Rate.objects.filter(kind=Rate.Kind.ON_DEMAND, valid_from__lte=Now())
    return {r.resource_id: Money(r.amount, r.currency) for r in rates.order_by("valid_from")}


def cost_totals(
    *,
    group_by: Sequence[Grouping] = (),
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    tenant_id: str = "",
) -> list[CostTotal]:
    """Sum the entries that started in [since, until), apart for every value of the groupings.

    Whole UTC days come from their sums, where these keep what is grouped by.
    """
    sums: dict[tuple[Any, ...], tuple[Decimal, Decimal, int]] = {}
    fine = not set(group_by) <= KEPT_BY_DAY
    for rows in cost_stretches(since=since, until=until, fine=fine):
        chosen = rows.entries.filter(tenant_id=tenant_id) if tenant_id else rows.entries
        for *key, amount, seconds, number in grouped(chosen, group_by, daily=rows.daily):
            before = sums.get(tuple(key), (Decimal(0), Decimal(0), 0))
            sums[tuple(key)] = (before[0] + amount, before[1] + seconds, before[2] + number)
    return [
        CostTotal(group=group, cost=_money(amount), seconds=seconds, entries=number)
        for group, (amount, seconds, number) in sorted(sums.items())
    ]


def booked_by_resource(
    *, since: dt.datetime, until: dt.datetime
) -> dict[str, tuple[Decimal, Decimal]]:
    """What our entries of [since, until) say of each resource: (amount, quantity)."""
    totals = cost_totals(group_by=("resource",), since=since, until=until)
    return {total.group[0]: (total.cost.amount, total.seconds) for total in totals}


def work_weeks(
    *, until: dt.datetime, weeks: int, by: Sequence[Grouping] = ("kind",)
) -> dict[str, list[float]]:
    """By kind of work (or by the groupings named, joined by a space), the slot-hours of each of the
    last whole weeks before a UTC midnight, the oldest first, from the first one that anybody worked
    in. The last grouping is "kind": time that was for no work is left out.
    """
    since = until - dt.timedelta(weeks=weeks)
    hours: dict[str, list[float]] = {}
    for total in cost_totals(group_by=("day", *by), since=since, until=until):
        day, *names = total.group
        if names[-1]:
            place = (day - since).days // 7
            of = hours.setdefault(" ".join(names), [0.0] * weeks)
            of[place] += float(total.seconds) / 3600
    first = min((next(n for n, h in enumerate(found) if h) for found in hours.values()), default=0)
    return {kind: found[first:] for kind, found in hours.items()}


def slots_balance(
    worker: str, since: dt.datetime, until: dt.datetime, *, slots: int = 0
) -> list[SlotBalance]:
    """Lay a worker's entries on the clock of [since, until), slot by slot.

    Give the window in which the worker lived; `slots` names how many it has, so that one without
    any entry is missed too.
    """
    rows = CostEntry.objects.filter(
        worker=worker, slot__isnull=False, started_at__lt=until, ended_at__gt=since
    )
    stretches: dict[int, list[Stretch]] = {slot: [] for slot in range(slots)}
    for slot, start, end, purpose in rows.values_list("slot", "started_at", "ended_at", "purpose"):
        stretches.setdefault(int(slot or 0), []).append(Stretch(start, end, purpose))
    return [
        slot_balance(worker, slot, members, since, until)
        for slot, members in sorted(stretches.items())
    ]


def unit_cost_per_million_tokens(
    *,
    kind: str,
    base: str,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    job_ids: Sequence[str] | None = None,
) -> UnitCost:
    """What a million tokens of a base model (and what was tuned from it) cost in [since, until).

    `kind` is a job's: "serve" sets the replicas' slot time, waiting included, against the tokens
    served; "fine_tune" the jobs' time, repeated work included, against the tokens trained.
    Entries are found by their labels kind and base, or by `job_ids` where these are given.
    """
    if job_ids is None:
        totals = cost_totals(group_by=("kind", "base"), since=since, until=until)
        amount = sum((t.cost.amount for t in totals if t.group == (kind, base)), Decimal(0))
    else:
        entries = between(since, until).filter(job_id__in=job_ids)
        amount = entries.aggregate(total=Sum("amount"))["total"]
    where: dict[str, Sequence[str]] = {"base": [base]}
    if job_ids is not None and kind != "serve":
        where["job_id"] = job_ids
    meters = SERVED if kind == "serve" else ("tokens.trained",)
    return _unit_cost(_money(amount), usage_total(meters, since=since, until=until, where=where))


def unit_costs(
    *, since: dt.datetime | None = None, until: dt.datetime | None = None
) -> list[tuple[str, str, UnitCost]]:
    """Return (kind, base, unit cost) for all that was trained and served in [since, until)."""
    tokens = {"fine_tune": _tokens(("tokens.trained",), since, until)}
    tokens["serve"] = _tokens(SERVED, since, until)
    return [
        (kind, base, _unit_cost(total.cost, tokens[kind].get(base, Decimal(0))))
        for total in cost_totals(group_by=("kind", "base"), since=since, until=until)
        for kind, base in [total.group]
        if kind in tokens and base
    ]


def job_cost_per_million_tokens(job_id: str) -> UnitCost:
    """What a million trained tokens of one fine-tune cost."""
    tokens = usage_total("tokens.trained", where={"job_id": [job_id]})
    return _unit_cost(job_cost(job_id), tokens)


def _tokens(
    meters: Sequence[str], since: dt.datetime | None, until: dt.datetime | None
) -> dict[str, Decimal]:
    """The tokens of these meters by base model."""
    sums: dict[str, Decimal] = {}
    for total in usage_totals(meters=meters, since=since, until=until, group_by=("base",)):
        base = total.dimensions["base"] or ""
        sums[base] = sums.get(base, Decimal(0)) + total.quantity
    return sums


def _unit_cost(cost: Money, tokens: Decimal) -> UnitCost:
    per_million = per_units(cost.amount, tokens, MILLION)
    return UnitCost(
        cost=cost,
        tokens=tokens,
        per_million=None if per_million is None else Money(per_million, cost.currency),
    )


def _money(amount: Decimal | None) -> Money:
    return Money(amount or Decimal(0), CURRENCY)
