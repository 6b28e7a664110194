"""What a million tokens of each class of work cost, three ways, with bounds and scenarios."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from django.db.models import Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Now, TruncDay

from tenants.costs.bounds import Bounds, Floats, ratio_bounds
from tenants.costs.daily import DAY
from tenants.costs.models import CostDay, CostWorkerDay, Rate
from tenants.costs.overheads import overheads_on
from tenants.costs.standard import Assumptions, Work, long_run, short_run
from tenants.usage.selectors import usage_hours

MILLION = Decimal(1_000_000)
METERS_OF: Mapping[str, Sequence[str]] = {
    "fine_tune": ("tokens.trained",),
    "serve": ("tokens.input", "tokens.cached", "tokens.output", "tokens.embedded"),
}
PAID_ANYWAY = frozenset({Rate.Kind.OWNED, Rate.Kind.RESERVED})
Split = Literal["", "tenant", "day", "meter"]


@dataclass(frozen=True)
class UnitEconomics:
    """Of a million tokens of `kind` of work on `base`, in the currency of costs.

    `split` is the tenant, day or meter, where one was asked for. `share` bounds the costs, relative
    to themselves: a cost c lies between c x share.low and c x share.high; None where there were
    too few days. `scenarios` are long-run averages under other choices.
    """

    kind: str
    base: str
    split: str
    tokens: Decimal
    direct: Decimal
    short_run: Decimal
    long_run: Decimal
    share: Bounds | None
    scenarios: Mapping[str, Decimal]

    @property
    def long_run_high(self) -> Decimal:
        """The upper bound that list prices must reach; the average where there is none."""
        return self.long_run * Decimal(repr(self.share.high)) if self.share else self.long_run


def scenarios_of(given: Assumptions) -> dict[str, Assumptions]:
    """Other choices of allocation, by name; these are shown, and never mixed into bounds."""
    return {
        "utilisation 60%": replace(given, planned_utilisation=Decimal("0.60")),
        "utilisation 80%": replace(given, planned_utilisation=Decimal("0.80")),
        "retries the company's": replace(given, retries_in_units=False),
        "no overhead": replace(given, overhead_rate=Decimal(0), overheads=()),
    }


def unit_economics(
    *,
    since: dt.datetime,
    until: dt.datetime,
    split: Split = "",
    given: Assumptions | None = None,
) -> list[UnitEconomics]:
    """Every class of work that had cost and tokens on the UTC days of [since, until).

    System scope. A meter's tokens cost what any of the class cost: work is not metered apart.
    """
    given = given or assumptions_of(since, until)
    first, last = since.astimezone(dt.UTC).date(), until.astimezone(dt.UTC).date()
    work = _work(first, last, "" if split == "meter" else split)
    tokens = _tokens(first, last, split)
    spread = _spread(first, last, _tokens(first, last, "day"))
    found = []
    for (kind, base, part), units in sorted(tokens.items()):
        whose = work.get((kind, base, "" if split == "meter" else part))
        if not whose or units <= 0:
            continue
        cost_over = tokens if split != "meter" else None
        sold = units if cost_over else _all_meters(tokens, kind, base)
        millions = sold / MILLION
        found.append(
            UnitEconomics(
                kind=kind,
                base=base,
                split=part,
                tokens=units,
                direct=sum((w.amount + w.retry for w in whose), Decimal(0)),
                short_run=short_run(whose, millions, given),
                long_run=long_run(whose, millions, given),
                share=spread.get((kind, base)),
                scenarios={
                    name: long_run(whose, millions, other)
                    for name, other in scenarios_of(given).items()
                },
            )
        )
    return found


def assumptions_of(
    since: dt.datetime,
    until: dt.datetime,
    *,
    planned_utilisation: Decimal = Assumptions.planned_utilisation,
) -> Assumptions:
    """The choices as the books stand: what is paid for anyway, and the overheads of the last day.

    One that has ended, or another took its place, is no part of what a unit costs in the long run.
    """
    return Assumptions(
        planned_utilisation=planned_utilisation,
        avoidable=avoidable_now(),
        overheads=overheads_on(max(since, until - DAY)),
    )


def avoidable_now() -> dict[str, Decimal]:
    """Nothing is saved by idling what is owned or reserved, as a resource's newest rate says."""
    rates = Rate.objects.filter(valid_from__lte=Now()).order_by("valid_from")
    newest = {rate.resource_id: rate.kind for rate in rates}
    return {resource: Decimal(0) for resource, kind in newest.items() if kind in PAID_ANYWAY}


def _all_meters(tokens: Mapping[tuple[str, str, str], Decimal], kind: str, base: str) -> Decimal:
    return sum((n for (k, b, _), n in tokens.items() if (k, b) == (kind, base)), Decimal(0))


def _work(first: dt.date, last: dt.date, split: str) -> dict[tuple[str, str, str], list[Work]]:
    """Slot time of each class, one part a resource."""
    column = {"tenant": ["tenant_id"], "day": ["day"]}.get(split, [])
    rows: Any = CostDay.objects.filter(day__gte=first, day__lt=last, kind__in=METERS_OF)
    names = ("kind", "base", "resource_id", "purpose", *column)
    totals = rows.order_by().values_list(*names).annotate(Sum("amount"), Sum("seconds"))
    parts: dict[tuple[str, str, str], dict[str, Work]] = {}
    for kind, base, resource, purpose, *rest, amount, seconds in totals:
        key = (kind, base, str(rest[0]) if rest else "")
        of = parts.setdefault(key, {})
        before = of.get(resource, Work(resource, Decimal(0), Decimal(0)))
        retry = amount if purpose == "retry" else Decimal(0)
        of[resource] = Work(
            resource,
            before.amount + amount - retry,
            before.seconds + seconds,
            before.retry + retry,
        )
    return {key: list(of.values()) for key, of in parts.items()}


def _tokens(first: dt.date, last: dt.date, split: str) -> dict[tuple[str, str, str], Decimal]:
    """Tokens of each class: (kind, base, split's value)."""
    begin, end = (dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC) for day in (first, last))
    kinds = {meter: kind for kind, meters in METERS_OF.items() for meter in meters}
    column: dict[str, Any] = {"on": TruncDay("hour", tzinfo=dt.UTC)} if split == "day" else {}
    rows: Any = usage_hours(since=begin, until=end).filter(meter__in=kinds)
    rows = rows.order_by().annotate(of=KeyTextTransform("base", "dimensions"), **column)
    names = {"tenant": ["tenant_id"], "day": ["on"], "meter": ["meter"]}.get(split, [])
    sums: dict[tuple[str, str, str], Decimal] = {}
    for meter, base, *rest, total in rows.values_list("meter", "of", *names).annotate(
        total=Sum("quantity")
    ):
        value = rest[0] if rest else ""
        part = str(value.date()) if isinstance(value, dt.datetime) else value
        key = (kinds[meter], base or "", part)
        sums[key] = sums.get(key, Decimal(0)) + total
    return sums


def _spread(
    first: dt.date, last: dt.date, by_day: Mapping[tuple[str, str, str], Decimal]
) -> dict[tuple[str, str], Bounds]:
    """Each class's bounds, as shares of its average."""
    days = [str(first + dt.timedelta(days=n)) for n in range((last - first).days)]
    rows: Any = CostWorkerDay.objects.filter(day__gte=first, day__lt=last, kind__in=METERS_OF)
    costs: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
    for kind, base, day, worker, amount in (
        rows.order_by().values_list("kind", "base", "day", "worker").annotate(Sum("amount"))
    ):
        costs.setdefault((kind, base), {})[str(day), worker] = float(amount)
    found: dict[tuple[str, str], Bounds] = {}
    for (kind, base), cells in costs.items():
        units = np.array([float(by_day.get((kind, base, day), 0)) for day in days])
        grid = _grid(cells, days)
        bounds = ratio_bounds(grid, units)
        if bounds is not None and grid.sum() > 0:
            average = float(grid.sum() / units.sum())
            found[kind, base] = Bounds(bounds.low / average, bounds.high / average)
    return found


def _grid(cells: Mapping[tuple[str, str], float], days: Sequence[str]) -> Floats:
    """Costs as [days, workers]."""
    workers = sorted({worker for _, worker in cells})
    row = {day: n for n, day in enumerate(days)}
    column = {worker: n for n, worker in enumerate(workers)}
    grid = np.zeros((len(days), len(workers)))
    for (day, worker), amount in cells.items():
        grid[row[day], column[worker]] = amount
    return grid
