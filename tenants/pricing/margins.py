"""Margins: what was quoted, charged and spent, job by job and day by day. Reads of the system.

Estimates for eyes, never posted: charges in another currency than costs are converted at the
newest exchange rate.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Max, Min, Sum

from tenants.costs.defaults import CURRENCY
from tenants.costs.selectors import cost_totals
from tenants.pricing.models import Charge, ChargeLine, FxRate, Quote
from tenants.pricing.selectors.charges import QuoteError

ZERO = Decimal(0)


@dataclass(frozen=True)
class JobMargin:
    """A job's money in the currency of costs, net of tax. Quoted amounts are None without a quote.

    `share` is the margin as a share of what was charged, None where nothing was.
    """

    job_id: str
    tenant_id: str
    quoted: Decimal | None
    quoted_high: Decimal | None
    charged: Decimal
    cost: Decimal
    last: dt.datetime | None = None

    @property
    def margin(self) -> Decimal:
        return self.charged - self.cost

    @property
    def share(self) -> Decimal | None:
        return self.margin / self.charged if self.charged else None


@dataclass(frozen=True)
class DayMargin:
    """One UTC day: revenue charged (net), and all that slots cost, idle time included."""

    day: dt.date
    revenue: Decimal
    cost: Decimal

    @property
    def margin(self) -> Decimal:
        return self.revenue - self.cost


@dataclass(frozen=True)
class QuoteAccuracy:
    """How good the quotes of one kind of work were, over work that was charged.

    `bias` is the mean of charged / expected - 1, `error` the mean of its size, `within` the share
    of work whose charge lay between low and high. Shares of one.
    """

    kind: str
    jobs: int
    bias: Decimal
    error: Decimal
    within: Decimal


def job_margins(
    *, since: dt.datetime | None = None, until: dt.datetime | None = None, tenant_id: str = ""
) -> list[JobMargin]:
    """Every job that was charged or cost something in [since, until), the newest charge first."""
    charged = {row["subject_id"]: row for row in _charged_jobs(since, until, tenant_id)}
    costs = {
        total.group[0]: (total.group[1], total.cost.amount)
        for total in cost_totals(
            group_by=("job", "tenant"), since=since, until=until, tenant_id=tenant_id
        )
        if total.group[0] and total.group[1]
    }
    quotes = Quote.objects.in_bulk({row["quote"] for row in charged.values() if row["quote"]})
    rates = _rates()
    found = [
        _margin(job_id, charged.get(job_id), costs.get(job_id), quotes, rates)
        for job_id in charged.keys() | costs.keys()
    ]
    return sorted(found, key=lambda row: (row.last is not None, row.last, row.job_id), reverse=True)


def job_margin(job_id: str) -> JobMargin | None:
    """One job's, or None where it was neither charged nor cost anything."""
    rows = _charged_jobs(None, None, "", job_id)
    charged = rows[0] if rows else None
    costs = [t for t in cost_totals(group_by=("job", "tenant")) if t.group[0] == job_id]
    cost = (costs[0].group[1], costs[0].cost.amount) if costs else None
    if charged is None and cost is None:
        return None
    quotes = Quote.objects.in_bulk([charged["quote"]] if charged and charged["quote"] else [])
    return _margin(job_id, charged, cost, quotes, _rates())


def _charged_jobs(
    since: dt.datetime | None, until: dt.datetime | None, tenant_id: str, job_id: str = ""
) -> list[dict[str, Any]]:
    rows: Any = Charge.objects.filter(subject_kind="job")
    for lookup, value in (
        ("occurred_at__gte", since),
        ("occurred_at__lt", until),
        ("tenant_id", tenant_id),
        ("subject_id", job_id),
    ):
        rows = rows.filter(**{lookup: value}) if value else rows
    grouped = rows.order_by().values("subject_id", "tenant_id", "currency")
    return list(
        grouped.annotate(
            total=Sum("net"), quote=Max("quote_id"), last=Max("occurred_at"), first=Min("id")
        )
    )


def _margin(
    job_id: str,
    charged: Mapping[str, Any] | None,
    cost: tuple[str, Decimal] | None,
    quotes: Mapping[str, Quote],
    rates: Mapping[str, Decimal],
) -> JobMargin:
    quote = quotes.get(charged["quote"]) if charged else None
    return JobMargin(
        job_id=job_id,
        tenant_id=charged["tenant_id"] if charged else cost[0] if cost else "",
        quoted=_converted(quote.expected_net, quote.currency, rates) if quote else None,
        quoted_high=_converted(quote.high_net, quote.currency, rates) if quote else None,
        charged=_converted(charged["total"], charged["currency"], rates) if charged else ZERO,
        cost=cost[1] if cost else ZERO,
        last=charged["last"] if charged else None,
    )


def margin_days(*, since: dt.datetime, until: dt.datetime | None = None) -> list[DayMargin]:
    """Revenue and cost of each UTC day of [since, until), both midnights, that had either."""
    lines = ChargeLine.objects.filter(day__gte=since.astimezone(dt.UTC).date())
    if until is not None:
        lines = lines.filter(day__lt=until.astimezone(dt.UTC).date())
    rates = _rates()
    revenue: dict[dt.date, Decimal] = {}
    for row in lines.order_by().values("day", "currency").annotate(total=Sum("net")):
        amount = _converted(row["total"], row["currency"], rates)
        revenue[row["day"]] = revenue.get(row["day"], ZERO) + amount
    costs = {
        total.group[0].date(): total.cost.amount
        for total in cost_totals(group_by=("day",), since=since, until=until)
    }
    return [
        DayMargin(day, revenue.get(day, ZERO), costs.get(day, ZERO))
        for day in sorted(revenue.keys() | costs.keys())
    ]


def quote_accuracies(found: Iterable[QuoteError]) -> list[QuoteAccuracy]:
    """Sum quotes up by kind of work; those that expected nothing are left out. Pure."""
    kinds: dict[str, list[QuoteError]] = {}
    for quote in found:
        if quote.expected.amount > 0:
            kinds.setdefault(quote.kind, []).append(quote)
    return [_accuracy(kind, quotes) for kind, quotes in sorted(kinds.items())]


def _accuracy(kind: str, quotes: Sequence[QuoteError]) -> QuoteAccuracy:
    off = [quote.actual.amount / quote.expected.amount - 1 for quote in quotes]
    number = len(quotes)
    return QuoteAccuracy(
        kind=kind,
        jobs=number,
        bias=sum(off, ZERO) / number,
        error=sum((abs(value) for value in off), ZERO) / number,
        within=Decimal(sum(quote.within for quote in quotes)) / number,
    )


def _rates() -> dict[str, Decimal]:
    """How much of each currency one unit of the costs' currency is, newest."""
    rows = FxRate.objects.filter(base=CURRENCY).order_by("valid_from")
    return {CURRENCY: Decimal(1)} | dict(rows.values_list("quote", "rate"))


def _converted(amount: Decimal, currency: str, rates: Mapping[str, Decimal]) -> Decimal:
    """Raises KeyError for a currency without a rate: no contract is in one."""
    return amount / rates[currency]
