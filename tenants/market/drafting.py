"""A campaign's spec from our own books: what we charge and spend, who buys, who competes.

What no book can tell (cash at hand, our share of the market, how customers answer prices) is asked
for, or named as an elicited prior. Reads of the system.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Sum
from django.db.models.fields.json import KeyTextTransform

from tenants.costs.allocating import allocation_of
from tenants.costs.daily import DAY, midnight
from tenants.costs.defaults import CURRENCY
from tenants.costs.levers import levers_newest
from tenants.costs.unit_economics import METERS_OF, unit_economics
from tenants.kernel.clock import database_now
from tenants.kernel.errors import InvalidInput, NotFound
from tenants.market.campaigns.history import market_facts
from tenants.market.models import MarketOffer
from tenants.market.position import SERVED, OwnOffer, RivalOffer, own_offers, rivals_of
from tenants.market.records import price_of
from tenants.market.selectors import market_history
from tenants.pricing.guard import MILLION
from tenants.usage.selectors import usage_hours

LATELY = 30 * DAY
MOST_RIVALS = 5
LARGE = 0.8  # the fewest customers who use this share of all are a segment of their own
MONTH_DAYS = 30
# measured gain → the campaign's lever and its effect
MEASURED = {
    "cohort": ("cheaper_training", "unit_cost_saving"),
    "compression": ("pruning", "unit_cost_saving"),
    "utilisation": ("utilisation", "fixed_cost_saving"),
    "procurement": ("procurement", "unit_cost_saving"),
}
ELASTICITY = {
    "large": {"low": 1.5, "mode": 2.5, "high": 5.0},
    "small": {"low": 0.8, "mode": 1.5, "high": 3.0},
}


@dataclass(frozen=True)
class Stated:
    """What the books do not know. Shares are of each segment's customers; money in `CURRENCY`."""

    cash: float
    cash_limit: float = 0.0
    own_share: float = 0.1
    outside_share: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.own_share < 1:
            raise InvalidInput("our share lies between 0 and 1", param="own_share")
        if not 0 <= self.outside_share <= 1 - self.own_share:
            raise InvalidInput(
                "the share that buys nowhere is at most what we leave", param="outside_share"
            )


def campaign_draft(base: str, stated: Stated, *, name: str = "") -> dict[str, Any]:
    """What `CampaignSpec.read` takes. Raises NotFound, InvalidInput where the books are empty."""
    row = MarketOffer.objects.filter(pk=base).first()
    if row is None:
        raise NotFound(f"{base!r} competes in no class yet; say in which first", param="base")
    moment = database_now()
    (own,) = own_offers([row])
    rivals = _priced(rivals_of([row.model_class])[row.model_class])
    return {
        "name": name or f"{base} in {row.model_class}",
        "currency": CURRENCY,
        "own": _own(own, stated, moment),
        "segments": _segments(base, stated, [one["name"] for one in rivals], moment),
        "rivals": rivals,
        "levers": _levers(),
        "market": market_facts(market_history()),
    }


def _own(own: OwnOffer, stated: Stated, moment: dt.datetime) -> dict[str, Any]:
    if not own.price:
        raise InvalidInput(f"the list has no price above 0 for tokens of {own.base}", param="base")
    since, until = _lately(moment)
    found = unit_economics(since=since, until=until)
    cost = next((c for c in found if (c.kind, c.base) == (SERVED, own.base)), None)
    if cost is None:
        raise InvalidInput(
            f"nothing of {own.base} was served in the last {LATELY.days} days, so the books know "
            "no cost of it; state the campaign by hand",
            param="base",
            code="no_cost",
        )
    idle = sum(allocation_of(since=since, until=until).strategic.values())
    return {
        "price": float(own.price),
        "unit_cost": float(cost.short_run),
        "long_run_cost": float(cost.long_run),
        "fixed_cost": float(idle),
        "cash": stated.cash,
        "cash_limit": stated.cash_limit,
        "cost_source": "books",
    }


def _levers() -> list[dict[str, Any]]:
    """What was measured here, switched off: the books already hold what it has saved so far."""
    rows = []
    for gain in levers_newest():
        name, effect = MEASURED[gain.lever]
        low, mode, high = (min(max(v, 0.0), 1.0) for v in (gain.low, gain.point, gain.high))
        if mode > 0:
            saving = {"low": min(low, mode), "mode": mode, "high": max(high, mode)}
            rows.append({"name": name, "on": False, "source": "measured", effect: saving})
    return rows


def _priced(found: Sequence[RivalOffer]) -> list[dict[str, Any]]:
    """The cheapest that are not free; a promotion goes back to its regular price."""
    today = database_now().date()
    rows = []
    for one in [rival for rival in found if rival.price][:MOST_RIVALS]:
        product = one.product
        row: dict[str, Any] = {
            "name": str(product)[:60],
            "model_class": product.model_class,
            "price": float(one.price or 0),
        }
        regular, until = price_of(product, "regular_{}").blended(), product.promotion_until
        shown = price_of(product).blended()
        if until is not None and until >= today and regular and shown:
            row["regular_price"] = row["price"] * regular / shown
            row["promotion_ends"] = round((until - today).days / MONTH_DAYS)
        rows.append(row)
    return rows


def _segments(
    base: str, stated: Stated, rivals: Sequence[str], moment: dt.datetime
) -> list[dict[str, Any]]:
    """Our large customers and the others, each a segment of a market that we share."""
    used = _tokens(base, moment)
    total, seen, large = sum(used), 0.0, 0
    while seen < LARGE * total:
        seen += used[large]
        large += 1
    left = 1 - stated.own_share - stated.outside_share
    shares = dict.fromkeys(rivals, left / len(rivals)) if rivals else {}
    return [
        {
            "name": name,
            "customers": len(part) / stated.own_share,
            "usage": sum(part) / len(part),
            "own_share": stated.own_share,
            "shares": shares,
            "elasticity": ELASTICITY[name],
        }
        for name, part in (("large", used[:large]), ("small", used[large:]))
        if part
    ]


def _tokens(base: str, moment: dt.datetime) -> list[float]:
    """Million tokens a month of each customer of a base, the most first."""
    since, until = _lately(moment)
    rows: Any = usage_hours(since=since, until=until).filter(meter__in=METERS_OF[SERVED])
    rows = rows.annotate(of=KeyTextTransform("base", "dimensions")).filter(of=base)
    sums = rows.order_by().values_list("tenant_id").annotate(total=Sum("quantity"))
    found = sorted((float(total / MILLION) for _, total in sums if total > 0), reverse=True)
    if not found:
        raise InvalidInput(f"nobody used {base} in the last {LATELY.days} days", param="base")
    return found


def _lately(moment: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    until = midnight(moment + DAY)
    return until - LATELY, until
