"""After a campaign: what was sold under the prices that it led to, beside what it foresaw.

A month is thirty days from the start of the first price that was approved. What is foreseen is of
the rehearsal's paths (10%, median, 90%); what happened is exact, and said to be unknown where it
is. Reads of the system.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from tenants.costs.unit_economics import METERS_OF
from tenants.kernel.clock import database_now
from tenants.market.position import SERVED
from tenants.market.proposing import MONTH
from tenants.pricing.exact import quotient, rounded
from tenants.pricing.guard import MILLION
from tenants.pricing.models import PriceProposal, SaleDay
from tenants.pricing.selectors.sales import rates_now
from tenants.pricing.selectors.sold import Actual, proposal_actual

State = PriceProposal.State
FORCE = (State.APPROVED, State.ACTIVE, State.ENDED)
MONEY = ("revenue", "loss", "price")
FIGURES = ("revenue", "tokens", "loss", "price", "share")
DIGITS = Decimal("0.000001")

# `cut`: the prices ended within it; `ended`: they had ended before
MonthState = Literal["over", "running", "to_come", "cut", "ended"]
Verdict = Literal["within", "below", "above", ""]
# why something is not known: the month is ahead; the prices had ended; nothing was sold, so there
# is no price; the campaign's currency has no rate; the result is older than foresight by month
Why = Literal["", "to_come", "ended", "nothing_sold", "no_rate", "not_foreseen"]


@dataclass(frozen=True)
class Figure:
    """One figure of a month. `verdict` is given of a whole month that is over."""

    foreseen: Mapping[str, float] | None  # low, median, high
    actual: Decimal | None
    verdict: Verdict = ""
    unknown: Why = ""


@dataclass(frozen=True)
class Month:
    """Revenue, loss and price (a million tokens) are in the campaign's currency, tokens in
    millions; share is of the customers that the campaign took the market to have.
    """

    number: int  # 1 is the first
    first: dt.date
    last: dt.date
    state: MonthState
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Followed:
    """A policy of the campaign that was proposed: in force since `first`, or not so far (None)."""

    policy: str
    state: Literal["proposed", "waiting", "under_way", "ended"]
    first: dt.date | None
    months: Sequence[Month]
    proposals: Sequence[tuple[PriceProposal, Actual]]


@dataclass(frozen=True)
class _Sums:
    revenue: Decimal
    tokens: Decimal  # in millions
    loss: Decimal
    customers: int


def campaign_followed(campaign_id: str, result: Mapping[str, Any]) -> list[Followed]:
    """What became of each policy whose prices were proposed and not refused."""
    rows = PriceProposal.objects.filter(campaign_id=campaign_id).exclude(state=State.REFUSED)
    by_policy: dict[str, list[PriceProposal]] = {}
    for row in rows.order_by("created_at", "id"):
        by_policy.setdefault(row.policy, []).append(row)
    return [_followed(policy, rows, result) for policy, rows in by_policy.items()]


def _followed(policy: str, rows: Sequence[PriceProposal], result: Mapping[str, Any]) -> Followed:
    today = database_now().astimezone(dt.UTC).date()
    force = [row for row in rows if row.state in FORCE]
    proposals = [(row, proposal_actual(row)) for row in rows]
    if not force:
        return Followed(policy, "proposed", None, (), proposals)
    first = min(row.starts for row in force).astimezone(dt.UTC).date()
    end = max(row.ended_at or row.ends for row in force).astimezone(dt.UTC).date()
    state: Any = "waiting" if first > today else "under_way"
    if all(row.state == State.ENDED for row in force):
        state = "ended"
    planned = max(row.ends for row in force) - min(row.starts for row in force)
    count = min(-(-planned // MONTH), int(result["months"]))
    months = _Months(policy, force, result, first, end, today)
    return Followed(policy, state, first, [*months.of(count)], proposals)


class _Months:
    """The months of one policy that was followed."""

    def __init__(
        self,
        policy: str,
        rows: Sequence[PriceProposal],
        result: Mapping[str, Any],
        first: dt.date,
        end: dt.date,
        today: dt.date,
    ) -> None:
        spec = result["spec"]
        found = next((row for row in result["policies"] if row["policy"] == policy), None)
        self._bands: Mapping[str, Any] = found["by_month"] if found else {}
        self._rate = rates_now().get(spec["currency"])  # in the currency of costs
        self._market = Decimal(repr(sum(one["customers"] for one in spec["segments"])))
        self._first, self._end, self._today = first, end, today
        self._days = _days(rows)

    def of(self, count: int) -> Iterator[Month]:
        for place in range(count):
            first = self._first + place * MONTH
            last = first + MONTH - dt.timedelta(days=1)
            state = self._state(first, last)
            sums = self._sums(first, last)
            figures = {name: self._figure(name, place, state, sums) for name in FIGURES}
            yield Month(place + 1, first, last, state, figures)

    def _state(self, first: dt.date, last: dt.date) -> MonthState:
        if first > min(self._today, self._end):
            return "ended" if first > self._end and self._end <= self._today else "to_come"
        if self._end < last and self._end <= self._today:
            return "cut"
        return "over" if self._today > last else "running"

    def _sums(self, first: dt.date, last: dt.date) -> _Sums:
        days = [row for row in self._days if first <= row.day <= last]
        served = METERS_OF[SERVED]
        tokens = sum(row.quantity for row in days if row.price_key.partition("?")[0] in served)
        return _Sums(
            revenue=sum((row.net for row in days), Decimal(0)),
            tokens=quotient(Decimal(tokens), MILLION),
            loss=sum((row.loss for row in days), Decimal(0)),
            customers=len({row.tenant_id for row in days if row.quantity > 0}),
        )

    def _figure(self, name: str, place: int, state: str, sums: _Sums) -> Figure:
        foreseen = self._band(name, place)
        if state in {"to_come", "ended"}:
            return Figure(foreseen, None, unknown="ended" if state == "ended" else "to_come")
        actual, unknown = self._actual(name, sums)
        if actual is None:
            return Figure(foreseen, None, unknown=unknown)
        if foreseen is None:
            return Figure(None, actual, unknown="not_foreseen")
        return Figure(foreseen, actual, _verdict(foreseen, actual) if state == "over" else "")

    def _band(self, name: str, place: int) -> dict[str, float] | None:
        band = self._bands.get(name)
        return {end: band[end][place] for end in ("low", "median", "high")} if band else None

    def _actual(self, name: str, sums: _Sums) -> tuple[Decimal | None, Why]:
        if name == "tokens":
            return _rounded(sums.tokens), ""
        if name == "share":
            return _rounded(quotient(Decimal(sums.customers), self._market)), ""
        if self._rate is None:
            return None, "no_rate"
        if name == "price":
            if not sums.tokens:
                return None, "nothing_sold"
            price = quotient(sums.revenue, sums.tokens)
            return _rounded(quotient(price, self._rate)), ""
        return _rounded(quotient(getattr(sums, name), self._rate)), ""


def _days(rows: Sequence[PriceProposal]) -> list[SaleDay]:
    return list(SaleDay.objects.filter(subject_id__in=[row.id for row in rows]))


def _rounded(value: Decimal) -> Decimal:
    return rounded(value, DIGITS)


def _verdict(foreseen: Mapping[str, float], actual: Decimal) -> Verdict:
    """Against the band as it is shown, to the digits of what happened."""
    low, high = (_rounded(Decimal(repr(foreseen[end]))) for end in ("low", "high"))
    if actual < low:
        return "below"
    return "above" if actual > high else "within"
