"""What partners get of a charge: a program like charging itself. See `partners/sharing.py`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Generator, Mapping, Sequence
from decimal import Decimal

from tenants.partners.sharing import Cut, Sold, cut_of
from tenants.partners.terms import terms_from_json
from tenants.pricing.charge_lines import Line
from tenants.pricing.charge_requests import ChargeRequest
from tenants.pricing.charge_statements import AGREEMENTS
from tenants.pricing.exact import EXACT, ZERO, plain
from tenants.pricing.terms_reading import Row, Statement

Shares = list[dict[str, str]]
Sales = Mapping[tuple[str, str], Decimal]  # (seller, revenue line) → net


def shares_of(
    request: ChargeRequest, lines: Sequence[Line], currency: str
) -> Generator[Statement, list[Row], Shares]:
    """The shares that go with a charge's posting. A waiver takes back all that its subject gave."""
    subject = f"{request.subject_kind}:{request.subject_id}"
    if request.waive:
        return [{"subject": subject}]
    sales = sales_of(lines, request.seller)
    return (yield from shares_sold(sales, request.moment, currency, subject, request.cost))


def shares_sold(
    sales: Sales, at: dt.datetime, currency: str, subject: str, cost: Decimal = ZERO
) -> Generator[Statement, list[Row], Shares]:
    """The shares in what was sold at a moment, for the posting that charges it.

    `cost`, of its compute, falls on the first line that is shared.
    """
    if not sales:
        return []
    sellers = sorted({seller for seller, _ in sales})
    shares: Shares = []
    for row in (yield AGREEMENTS, {"sellers": sellers, "at": at, "currency": currency}):
        for share in _of_seller(row, sales, currency, cost):
            shares.append({**share, "subject": subject})
            cost = ZERO
    return shares


def sales_of(lines: Sequence[Line], seller: str) -> dict[tuple[str, str], Decimal]:
    """What each seller sold, by revenue line, less what a quote's bound took off."""
    sums: dict[tuple[str, str], Decimal] = {}
    for line in lines:
        name = line.seller or seller
        if name:
            place = name, line.revenue
            sums[place] = EXACT.add(sums.get(place, ZERO), line.net)
    return {place: net for place, net in sorted(sums.items()) if net > 0}


def _of_seller(row: Row, sales: Sales, currency: str, cost: Decimal) -> Shares:
    seller, partner, agreement, given, sold, borne = row
    terms = terms_from_json(json.loads(given))
    so_far = Sold({name: Decimal(net) for name, net in json.loads(sold).items()}, borne)
    counted = terms.currency == currency
    shares: Shares = []
    for (name, revenue), net in sales.items():
        if name == seller:
            own = ZERO if shares else cost
            cut = cut_of(terms, revenue, net, sold=so_far, counted=counted, cost=own)
            if cut is not None:
                whose = {"seller": seller, "partner": partner, "agreement": agreement}
                shares.append({**whose, **_cut(cut), "hold_days": str(terms.hold_days)})
    return shares


def _cut(cut: Cut) -> dict[str, str]:
    amounts = {
        name: plain(getattr(cut, name))
        for name in ("net", "amount", "on_promotion", "on_money", "cost")
    }
    return {"revenue": cut.revenue, **amounts}
