"""What was sold: charges of tokens beside floors; the loss report. Reads of the system."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import structlog
from django.db.models import QuerySet, Sum

from tenants.kernel.clock import database_now
from tenants.kernel.errors import NotFound
from tenants.pricing.exact import EXACT, ZERO, quotient
from tenants.pricing.floors import ClassFloor
from tenants.pricing.guard import MILLION, SOLD_BY, floor_of
from tenants.pricing.matching import match_in
from tenants.pricing.models import ChargeLine, LossBudget, PriceProposal, SaleDay
from tenants.pricing.selectors.guarding import floors_now
from tenants.pricing.selectors.sales import rates_now

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Sold:
    """A day's sum of one tenant and price key, in the currency of costs."""

    day: dt.date
    tenant_id: str
    price_key: str
    meter: str
    quantity: Decimal
    net: Decimal


@dataclass(frozen=True)
class Loss:
    """What one tenant paid less than the floors of what it bought; in the currency of costs."""

    tenant_id: str
    price_key: str
    quantity: Decimal
    net: Decimal
    due: Decimal

    @property
    def loss(self) -> Decimal:
        return EXACT.subtract(self.due, self.net)


@dataclass(frozen=True)
class Actual:
    """What was sold under a proposal so far, in the currency of costs."""

    quantity: Decimal
    revenue: Decimal
    loss: Decimal


def loss_report(*, since: dt.datetime, until: dt.datetime | None = None) -> list[Loss]:
    """Where the UTC days of [since, until) earned less than today's floors, the dearest first."""
    lines = ChargeLine.objects.filter(meter__in=SOLD_BY, day__gte=since.astimezone(dt.UTC).date())
    if until is not None:
        lines = lines.filter(day__lt=until.astimezone(dt.UTC).date())
    floors = floors_now(database_now())
    sums: dict[tuple[str, str], tuple[Decimal, Decimal, Decimal]] = {}
    for sold in sold_by_day(lines):
        place = (sold.tenant_id, sold.price_key)
        before = sums.get(place, (ZERO, ZERO, ZERO))
        parts = (sold.quantity, sold.net, due_for(sold, floors))
        sums[place] = tuple(EXACT.add(a, b) for a, b in zip(before, parts, strict=True))  # type: ignore[assignment]
    found = [Loss(*place, *parts) for place, parts in sums.items()]
    below = [row for row in found if row.loss > 0]
    return sorted(below, key=lambda row: (-row.loss, row.tenant_id, row.price_key))


def due_for(sold: Sold, floors: Sequence[ClassFloor]) -> Decimal:
    """What was sold should have brought at its floor; 0 where nothing was measured."""
    floor = floor_of(sold.meter, match_in(sold.price_key), floors)
    return due(sold.quantity, floor.floor if floor else ZERO)


def due(quantity: Decimal, per_million: Decimal) -> Decimal:
    return EXACT.multiply(quotient(quantity, MILLION), per_million)


def proposal_actual(proposal: PriceProposal) -> Actual:
    """What its days sum to."""
    names = {"sold": Sum("quantity"), "net_sum": Sum("net"), "lost": Sum("loss")}
    sums = SaleDay.objects.filter(subject_id=proposal.id).aggregate(**names)
    return Actual(*(sums[name] or ZERO for name in names))


def proposal_days(proposal: PriceProposal) -> list[dict[str, Any]]:
    """Its days, the tenants' summed up: day, quantity, revenue and loss."""
    rows: Any = SaleDay.objects.filter(subject_id=proposal.id).order_by("day").values("day")
    sums = rows.annotate(sold=Sum("quantity"), revenue=Sum("net"), lost=Sum("loss"))
    return [
        {"day": r["day"], "quantity": r["sold"], "revenue": r["revenue"], "loss": r["lost"]}
        for r in sums
    ]


def price_proposal_get(proposal_id: str) -> PriceProposal:
    """Raises NotFound."""
    row: PriceProposal | None = PriceProposal.objects.filter(pk=proposal_id).first()
    if row is None:
        raise NotFound(f"no price proposal {proposal_id!r}", param="price_proposal_id")
    return row


def loss_budget_get(budget_id: str) -> LossBudget:
    """Raises NotFound."""
    row: LossBudget | None = LossBudget.objects.filter(pk=budget_id).first()
    if row is None:
        raise NotFound(f"no loss budget {budget_id!r}", param="loss_budget_id")
    return row


def sold_by_day(lines: QuerySet[ChargeLine]) -> list[Sold]:
    """Sum charge lines of tokens by day, tenant and price key, in the currency of costs.

    What was sold in a currency without a rate into that one is left out, and logged.
    """
    rates, unknown = rates_now(), set()
    names = ("day", "tenant_id", "price_key", "meter", "currency")
    sums = lines.exclude(price_key="").order_by().values_list(*names)
    found: dict[tuple[dt.date, str, str, str], tuple[Decimal, Decimal]] = {}
    for day, tenant, key, meter, currency, quantity, net in sums.annotate(
        sold=Sum("quantity"), total=Sum("net")
    ):
        if currency not in rates:
            unknown.add(currency)
            continue
        place = (day, tenant, key, meter)
        before = found.get(place, (ZERO, ZERO))
        net_in_costs = EXACT.multiply(net, rates[currency])
        found[place] = (before[0] + quantity, before[1] + net_in_costs)
    for currency in sorted(unknown):
        log.warning("what was sold lies beside no floor", missing_rate=currency)
    return [Sold(*place, *sums) for place, sums in sorted(found.items())]
