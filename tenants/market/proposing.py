"""From rehearsal to action: the prices of a campaign's policy, as proposals for the list.

A policy moves one blended price; every token price of the offer moves by the same share. Nothing
holds until another person approves it, past the price guard.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tenants.costs.defaults import CURRENCY
from tenants.kernel.clock import database_now
from tenants.kernel.errors import InvalidInput
from tenants.market.moves import INPUT_SHARE
from tenants.market.position import list_book, list_units
from tenants.pricing.exact import rounded
from tenants.pricing.guard import MILLION
from tenants.pricing.selectors import exchange_rate
from tenants.pricing.services.proposals import NewProposal

MONTH = dt.timedelta(days=30)
DECIMALS = Decimal("0.000001")
# What lists sell tokens by → its share of a typical call's; cached ones are not foreseen.
METERS: Mapping[str, float] = {
    "tokens.input": INPUT_SHARE,
    "tokens.output": 1 - INPUT_SHARE,
    "tokens.cached": 0.0,
}
# Policies with a price for each segment, contract or tier: no one price of the list says them.
APART = frozenset({"tier", "contract", "niche"})


@dataclass(frozen=True)
class Wish:
    """Which policy of a result (empty: the proposed one) to follow for a base, how long.

    At `volume_cap` tokens of a meter its price ends before its time.
    """

    base: str
    policy: str = ""
    months: int = 3
    starts: dt.datetime | None = None
    loss_budget_id: str = ""
    volume_cap: Decimal | None = None


def proposals_of(result: Mapping[str, Any], campaign_id: str, wish: Wish) -> list[NewProposal]:
    """A proposal for each token price of the base. Raises InvalidInput.

    What is foreseen is in the currency of costs: InvalidInput(code="fx_missing") without a rate.
    """
    row = _policy(result, wish.policy)
    if not 1 <= wish.months <= result["months"]:
        raise InvalidInput(f"the campaign has {result['months']} months", param="months")
    path = row["by_month"]["price"]["median"][: wish.months]
    own = result["spec"]["own"]
    factor = Decimal(repr(sum(path) / len(path) / own["price"]))
    starts = wish.starts or database_now()
    rate = _rate(result["currency"])
    revenue = row["revenue"]["usage"]["mean"] * rate * wish.months / result["months"]
    long_run = own["long_run_cost"] * rate
    units = {meter: unit for meter, unit in list_units(wish.base).items() if meter in METERS}
    if not units:
        raise InvalidInput(f"the list sells no tokens of {wish.base!r}", param="base")
    tokens = revenue / float(sum(Decimal(repr(METERS[m])) * u for m, u in units.items()) * factor)
    return [
        NewProposal(
            book_id=list_book().id,
            meter=meter,
            match={"base": wish.base},
            charge={
                "model": "standard",
                "unit": f"{(unit * MILLION * factor).quantize(DECIMALS):f}",
                "per": str(MILLION),
            },
            starts=wish.starts,
            ends=starts + wish.months * MONTH,
            loss_budget_id=wish.loss_budget_id,
            volume_cap=wish.volume_cap,
            campaign_id=campaign_id,
            policy=row["policy"],
            note=f"{row['policy']} of the campaign {result['spec']['name']!r}, as rehearsed",
            foreseen=_foreseen(tokens * METERS[meter], float(unit * factor), long_run),
        )
        for meter, unit in units.items()
    ]


def _rate(currency: str) -> float:
    """Into the currency of costs."""
    if currency == CURRENCY:
        return 1.0
    return float(exchange_rate(currency, CURRENCY, database_now()))


def _policy(result: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    chosen = name or result["recommendation"]["policy"]
    if not chosen:
        raise InvalidInput(
            "the rehearsal proposes no policy; name the one to follow all the same", param="policy"
        )
    found: Mapping[str, Any] | None = next(
        (row for row in result["policies"] if row["policy"] == chosen), None
    )
    if found is None:
        known = ", ".join(row["policy"] for row in result["policies"])
        raise InvalidInput(f"{chosen[:60]!r} was not rehearsed; there are {known}", param="policy")
    if chosen in APART:
        raise InvalidInput(
            f"{chosen} has prices of its own for a segment or a contract: write those contracts; "
            "one price of the list cannot say it",
            param="policy",
        )
    return found


def _foreseen(tokens: float, unit: float, long_run: float) -> dict[str, Decimal]:
    """Of the whole time: what is sold, what it brings, what it lies below long-run cost."""
    short = max(0.0, long_run - unit * float(MILLION)) / float(MILLION)
    figures = {"quantity": tokens, "revenue": tokens * unit, "loss": tokens * short}
    return {name: rounded(Decimal(repr(value)), DECIMALS) for name, value in figures.items()}
