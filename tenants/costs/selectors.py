"""Reads of costs, in the system's scope: what a job cost, where slots' time went, unit costs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Now, TruncDay, TruncHour

from tenants.costs.balance import SlotBalance, Stretch, slot_balance
from tenants.costs.defaults import CURRENCY
from tenants.costs.models import CostEntry, Rate
from tenants.costs.rates import per_units
from tenants.kernel.money import Money
from tenants.usage.selectors import usage_total

MILLION = 1_000_000
SERVED = ("tokens.input", "tokens.cached", "tokens.output", "tokens.embedded")

Grouping = Literal["purpose", "resource", "tenant", "job", "worker", "hour", "day", "kind", "base"]


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
    """Sum the entries that started in [since, until), apart for every value of the groupings."""
    columns = {f"by_{name}": _GROUPINGS[name] for name in group_by}
    rows: Any = _entries(since=since, until=until, tenant_id=tenant_id).order_by()
    rows = rows.annotate(every=F("currency"), **columns).values("every", *columns)
    totals = rows.annotate(amount=Sum("amount"), seconds=Sum("quantity"), number=Count("id"))
    return [
        CostTotal(
            group=tuple(row[name] for name in columns),
            cost=_money(row["amount"]),
            seconds=row["seconds"],
            entries=row["number"],
        )
        for row in totals.order_by(*columns)
    ]


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
    entries = _entries(since=since, until=until)
    chosen = Q(labels__kind=kind, labels__base=base) if job_ids is None else Q(job_id__in=job_ids)
    amount = entries.filter(chosen).aggregate(total=Sum("amount"))["total"]
    where: dict[str, Sequence[str]] = {"base": [base]}
    if job_ids is not None and kind != "serve":
        where["job_id"] = job_ids
    meters = SERVED if kind == "serve" else ("tokens.trained",)
    return _unit_cost(_money(amount), usage_total(meters, since=since, until=until, where=where))


def unit_costs(
    *, since: dt.datetime | None = None, until: dt.datetime | None = None
) -> list[tuple[str, str, UnitCost]]:
    """Return (kind, base, unit cost) for all that was trained and served in [since, until)."""
    kinds = _entries(since=since, until=until).filter(labels__kind__in=["fine_tune", "serve"])
    labelled: Any = kinds.order_by().annotate(kind=_GROUPINGS["kind"], base=_GROUPINGS["base"])
    return [
        (kind, base, unit_cost_per_million_tokens(kind=kind, base=base, since=since, until=until))
        for kind, base in labelled.values_list("kind", "base").distinct().order_by("kind", "base")
        if base
    ]


def job_cost_per_million_tokens(job_id: str) -> UnitCost:
    """What a million trained tokens of one fine-tune cost."""
    tokens = usage_total("tokens.trained", where={"job_id": [job_id]})
    return _unit_cost(job_cost(job_id), tokens)


def _unit_cost(cost: Money, tokens: Decimal) -> UnitCost:
    per_million = per_units(cost.amount, tokens, MILLION)
    return UnitCost(
        cost=cost,
        tokens=tokens,
        per_million=None if per_million is None else Money(per_million, cost.currency),
    )


def _entries(
    *, since: dt.datetime | None, until: dt.datetime | None, tenant_id: str = ""
) -> QuerySet[CostEntry]:
    chosen = Q()
    if since is not None:
        chosen &= Q(started_at__gte=since)
    if until is not None:
        chosen &= Q(started_at__lt=until)
    if tenant_id:
        chosen &= Q(tenant_id=tenant_id)
    return CostEntry.objects.filter(chosen)


def _money(amount: Decimal | None) -> Money:
    return Money(amount or Decimal(0), CURRENCY)


_GROUPINGS: Mapping[str, Any] = {
    "purpose": F("purpose"),
    "resource": F("resource_id"),
    "tenant": F("tenant_id"),
    "job": F("job_id"),
    "worker": F("worker"),
    "hour": TruncHour("started_at", tzinfo=dt.UTC),
    "day": TruncDay("started_at", tzinfo=dt.UTC),
    "kind": KeyTextTransform("kind", "labels"),
    "base": KeyTextTransform("base", "labels"),
}
