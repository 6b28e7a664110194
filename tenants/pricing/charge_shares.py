"""What partners get of a charge: a program like charging itself. See `partners/sharing.py`."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from decimal import Decimal

from tenants.partners.sharing import Cut, Sold, cut_of
from tenants.partners.terms import Terms, terms_from_json
from tenants.pricing.charge_lines import Line
from tenants.pricing.charge_requests import ChargeRequest
from tenants.pricing.charge_statements import AGREEMENTS
from tenants.pricing.exact import EXACT, ZERO, plain
from tenants.pricing.terms_reading import Row, Statement

Shares = list[dict[str, str]]


def shares_of(
    request: ChargeRequest, lines: Sequence[Line], currency: str
) -> Generator[Statement, list[Row], Shares]:
    """The shares that go with a charge's posting. A waiver takes back all that its subject gave."""
    if request.waive:
        return [{"subject": f"{request.subject_kind}:{request.subject_id}"}]
    sales = sales_of(lines, request.seller)
    if not sales:
        return []
    sellers = sorted({seller for seller, _ in sales})
    rows = yield AGREEMENTS, {"sellers": sellers, "at": request.moment, "currency": currency}
    return [share for row in rows for share in _of_seller(row, sales, request, currency)]


def sales_of(lines: Sequence[Line], seller: str) -> dict[tuple[str, str], Decimal]:
    """What each seller sold, by revenue line, less what a quote's bound took off."""
    sums: dict[tuple[str, str], Decimal] = {}
    for line in lines:
        name = line.seller or seller
        if name:
            place = name, line.revenue
            sums[place] = EXACT.add(sums.get(place, ZERO), line.net)
    return {place: net for place, net in sorted(sums.items()) if net > 0}


def _of_seller(
    row: Row, sales: Mapping[tuple[str, str], Decimal], request: ChargeRequest, currency: str
) -> Shares:
    seller, partner, agreement, given, sold, borne = row
    terms = terms_from_json(json.loads(given))
    so_far = Sold({name: Decimal(net) for name, net in json.loads(sold).items()}, borne)
    cost = request.cost  # falls on the first line that is shared
    shares: Shares = []
    for (name, revenue), net in sales.items():
        if name != seller:
            continue
        cut = cut_of(
            terms, revenue, net, sold=so_far, counted=terms.currency == currency, cost=cost
        )
        if cut is not None:
            cost = ZERO
            shares.append(_share(cut, seller, partner, agreement, terms, request))
    return shares


def _share(
    cut: Cut, seller: str, partner: str, agreement: str, terms: Terms, request: ChargeRequest
) -> dict[str, str]:
    return {
        "seller": seller,
        "partner": partner,
        "agreement": agreement,
        "revenue": cut.revenue,
        "subject": f"{request.subject_kind}:{request.subject_id}",
        "hold_days": str(terms.hold_days),
        "net": plain(cut.net),
        "amount": plain(cut.amount),
        "on_promotion": plain(cut.on_promotion),
        "on_money": plain(cut.on_money),
        "cost": plain(cut.cost),
    }
