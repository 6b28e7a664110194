"""A purchase plan drafted from the books: what work there was, prices now, offers, what is held.

What the plan will know is written down, so that its seed gives the same result later. System scope.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models.functions import Now

from tenants.costs.allocation import Terms
from tenants.costs.commitments import held_by_month
from tenants.costs.daily import midnight
from tenants.costs.defaults import CURRENCY
from tenants.costs.forecasting import FEWEST_WEEKS
from tenants.costs.models import PurchaseOffer, Rate, Resource
from tenants.costs.plan_months import month_add, month_edges, month_of, months_between
from tenants.costs.selectors import cost_totals, rates_now, unit_costs, work_weeks
from tenants.costs.sensitivity import ON_DEMAND, SPOT
from tenants.kernel.errors import InvalidInput

WEEKS = 52  # of the books that a forecast looks back upon
RECENT = dt.timedelta(weeks=4)  # that tokens of a base are counted in
HOUR = 3600
MILLION = 1_000_000
STEADY = "serve"  # the kind of work that cannot be interrupted, and so not be done on spot
Exchange = Callable[[str], Decimal]
MOST_MONTHS, MOST_SCENARIOS, MOST_SUPPLIERS = 60, 50, 10
LARGEST = 10**12  # of money, and of slot-hours a month
LEAST_USE, DEAREST = Decimal("0.001"), 10**6  # a utilisation, a penalty


@dataclass(frozen=True)
class Supplier:
    """Who would serve a base model for us, and what a million tokens cost there, in USD."""

    name: str
    base: str
    per_million: Decimal


@dataclass(frozen=True)
class Wish:
    """What a plan is asked for. Money in the currency of costs.

    `penalty` is what a slot-hour that lacks costs, in prices on demand; `budget` what may be
    committed to in a month; `service` the least share of demand that is met. Raises InvalidInput.
    """

    name: str
    months: int = 12
    scenarios: int = 10
    seed: int = 1
    utilisation: Decimal = field(default_factory=lambda: Terms().planned_utilisation)
    penalty: Decimal = Decimal(10)
    budget: Decimal | None = None
    service: Decimal = Decimal(0)
    spot: bool = True
    unseen: int = 200
    on_demand_limits: Mapping[str, Decimal] = field(default_factory=dict)  # slot-hours a month
    suppliers: Sequence[Supplier] = ()

    def __post_init__(self) -> None:
        _check(self)


def plan_draft(wish: Wish, today: dt.datetime, exchange: Exchange) -> dict[str, Any]:
    """Draft a plan that begins with the month after `today`.

    `exchange` tells what one unit of another currency is in that of costs; it raises InvalidInput.
    Raises InvalidInput: no offers, an offer in a currency without a rate, too little history, a
    supplier of what is not served.
    """
    until = midnight(today)
    starts = month_add(month_of(until), 1)
    weeks, left_out = _demand(until, wish.utilisation)
    classes = sorted(weeks)
    offers = _offers(classes, starts, exchange)
    return {
        "name": wish.name,
        "starts": starts.isoformat(),
        "currency": CURRENCY,
        "utilisation": f"{wish.utilisation:f}",
        "case": {
            "classes": classes,
            "offers": [row for row, _ in offers],
            "markets": _markets(classes, wish),
            "penalty": {
                name: price * float(wish.penalty) for name, price in _prices(classes).items()
            },
            "budget": None if wish.budget is None else float(wish.budget),
            "service": float(wish.service),
            "held": [
                {"serves": list(serves), "capacity": row}
                for serves, row in held_by_month(classes, starts, wish.months).items()
            ],
        },
        "weeks": weeks,
        "left_out": left_out,
        "forecast": {
            "edges": month_edges(until, starts, wish.months),
            "scenarios": wish.scenarios,
            "seed": wish.seed,
            "unseen": wish.unseen,
        },
        "offer_ids": {row["name"]: offer.id for row, offer in offers},
        "suppliers": [_supplier(one, classes, until, wish.utilisation) for one in wish.suppliers],
    }


def _demand(
    until: dt.datetime, utilisation: Decimal
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Each class's weekly slot-hours at planned utilisation, from its own first week on; and the
    hours in all of those with too few weeks of work to be foreseen.
    """
    found = work_weeks(until=until, weeks=WEEKS, by=("resource", "kind"))
    weeks: dict[str, list[float]] = {}
    left_out: dict[str, float] = {}
    for name, hours in found.items():
        first = next(n for n, h in enumerate(hours) if h)
        if sum(1 for h in hours if h) < FEWEST_WEEKS:
            left_out[name] = sum(hours)
        else:
            weeks[name] = [h / float(utilisation) for h in hours[first:]]
    if not weeks:
        most = max((sum(1 for h in hours if h) for hours in found.values()), default=0)
        raise InvalidInput(
            f"the books hold {most} weeks with work of any one kind, and a forecast needs"
            f" {FEWEST_WEEKS}; plan once there is more history, or give `warroom procure` a demand",
            param="months",
            code="too_little_history",
        )
    return weeks, left_out


def _offers(
    classes: Sequence[str], starts: dt.date, exchange: Exchange
) -> list[tuple[dict[str, Any], PurchaseOffer]]:
    rows = list(PurchaseOffer.objects.filter(withdrawn_at=None).order_by("name"))
    found = []
    for row in rows:
        serves = classes_served(row.resource_id, row.kinds, classes)
        last = None if row.until is None else months_between(starts, row.until) + 1
        if serves and (last is None or last > 0):
            found.append((_offer(row, serves, last, _rate_of(row, exchange)), row))
    if not found:
        raise InvalidInput(
            f"none of {len(rows)} offers can serve {', '.join(classes)}; enter or import one",
            param="offers",
            code="no_offers",
        )
    return found


def classes_served(resource: str, kinds: Sequence[str], classes: Iterable[str]) -> list[str]:
    """The classes ("worker.gpu serve") that capacity of a resource can do."""
    found = []
    for name in classes:
        of, kind = name.rsplit(" ", 1)
        if of == resource and (not kinds or kind in kinds):
            found.append(name)
    return found


def _offer(
    row: PurchaseOffer, serves: Sequence[str], last: int | None, rate: Decimal
) -> dict[str, Any]:
    return {
        "name": row.name,
        "serves": list(serves),
        "capacity": float(row.capacity),
        "cost": float(row.cost * rate),
        "upfront": float(row.upfront * rate),
        "monthly": float(row.monthly * rate),
        "months": row.months,
        "available": row.available,
        "to_month": last,
    }


def _rate_of(row: PurchaseOffer, exchange: Exchange) -> Decimal:
    if row.currency == CURRENCY:
        return Decimal(1)
    try:
        return exchange(row.currency)
    except InvalidInput as error:
        raise InvalidInput(
            f"the offer {row.name!r} is in {row.currency}: {error.message}",
            param="offers",
            code=error.code,
        ) from error


def _prices(classes: Sequence[str]) -> dict[str, float]:
    """A slot-hour on demand, by class. Raises InvalidInput where a resource has no rate."""
    rates = rates_now()
    prices = {}
    for name in classes:
        resource = name.rsplit(" ", 1)[0]
        if resource not in rates:
            raise InvalidInput(
                f"{resource} has no rate on demand: set one first", param="rates", code="no_rate"
            )
        prices[name] = float(rates[resource].amount) * HOUR
    return prices


def _markets(classes: Sequence[str], wish: Wish) -> list[dict[str, Any]]:
    known = set(Resource.objects.values_list("id", flat=True))
    if strange := sorted(wish.on_demand_limits.keys() - known):
        raise InvalidInput(f"no resource {strange[0]!r}", param="on_demand_limits")
    limits = {
        name: float(wish.on_demand_limits[resource])
        for name in classes
        if (resource := name.rsplit(" ", 1)[0]) in wish.on_demand_limits
    }
    found = [{"name": ON_DEMAND, "prices": _prices(classes), "limits": limits}]
    spot = Rate.objects.filter(kind=Rate.Kind.SPOT, valid_from__lte=Now()).order_by("valid_from")
    rates = {rate.resource_id: float(rate.amount) * HOUR for rate in spot}
    prices = {
        name: rates[resource]
        for name in classes
        for resource, kind in [name.rsplit(" ", 1)]
        if resource in rates and kind != STEADY
    }
    if wish.spot and prices:
        found.append({"name": SPOT, "prices": prices, "limits": {}})
    return found


def _supplier(
    one: Supplier, classes: Sequence[str], until: dt.datetime, utilisation: Decimal
) -> dict[str, Any]:
    """A base's share of its class, and the slot-hours that a million tokens of it ask for."""
    totals = cost_totals(group_by=("resource", "kind", "base"), since=until - RECENT, until=until)
    served = [t for t in totals if t.group[1] == STEADY]
    ours = {t.group[0]: t.seconds for t in served if t.group[2] == one.base}
    units = unit_costs(since=until - RECENT, until=until)
    tokens = next((u.tokens for k, b, u in units if (k, b) == (STEADY, one.base)), Decimal(0))
    if not ours or not tokens:
        raise InvalidInput(
            f"no tokens of {one.base!r} were served in the last four weeks: there is nothing to"
            " set a supplier's price against",
            param="suppliers",
            code="nothing_served",
        )
    resource = max(ours, key=lambda name: ours[name])
    if f"{resource} {STEADY}" not in classes:
        raise InvalidInput(
            f"{resource} has served for too few weeks to foresee what {one.base!r} will ask for:"
            " leave its supplier out",
            param="suppliers",
            code="too_little_history",
        )
    whole = sum((t.seconds for t in served if t.group[0] == resource), Decimal(0))
    hours = sum(ours.values(), Decimal(0)) / HOUR / utilisation
    return {
        "name": one.name,
        "base": one.base,
        "class": f"{resource} {STEADY}",
        "share": float(ours[resource] / whole),
        "hours_per_million": float(hours / (tokens / MILLION)),
        "per_million": float(one.per_million),
    }


def _check(wish: Wish) -> None:
    if not wish.name.strip() or len(wish.name) > 60:
        raise InvalidInput("a plan has a name of 1 to 60 characters", param="name")
    for name, most in (("months", MOST_MONTHS), ("scenarios", MOST_SCENARIOS), ("unseen", 1000)):
        if not 1 <= getattr(wish, name) <= most:
            raise InvalidInput(f"{name} are 1 to {most}", param=name)
    if not _within(wish.utilisation, 1) or wish.utilisation < LEAST_USE:
        raise InvalidInput(
            f"utilisation is a share above 0 and at most 1, {LEAST_USE} at least",
            param="utilisation",
        )
    if not _within(wish.service, 1):
        raise InvalidInput("service is a share of demand, 0 to 1", param="service")
    if not _within(wish.penalty, DEAREST) or wish.penalty < 1:
        raise InvalidInput(
            "what lacks costs at least its price on demand: a penalty of 1 or more, at most"
            f" {DEAREST}",
            param="penalty",
        )
    if wish.budget is not None and not _within(wish.budget, LARGEST):
        raise InvalidInput(f"a budget is at least 0, at most {LARGEST}", param="budget")
    if not all(_within(limit, LARGEST) for limit in wish.on_demand_limits.values()):
        raise InvalidInput(
            f"a limit is at least 0 slot-hours a month, at most {LARGEST}", param="on_demand_limits"
        )
    prices = [one.per_million for one in wish.suppliers]
    if len(prices) > MOST_SUPPLIERS or not all(_within(price, LARGEST) for price in prices):
        raise InvalidInput(
            f"at most {MOST_SUPPLIERS} suppliers, at prices from 0 to {LARGEST}", param="suppliers"
        )


def _within(value: Decimal, most: int) -> bool:
    """Whether a number is one, not below 0 and not above `most`."""
    return value.is_finite() and 0 <= value <= most
