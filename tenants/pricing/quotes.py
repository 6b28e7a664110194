"""Quotes: the price promised before work, stored, and bound to the work by a fingerprint."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any

from tenants.accounts.actors import Actor
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.ledger.selectors import wallet_balance
from tenants.pricing.cards import Terms, period_of
from tenants.pricing.charge_models import most
from tenants.pricing.exact import EXACT, ZERO, plain, round12
from tenants.pricing.matching import match_of
from tenants.pricing.models import PeriodTotal, Quote
from tenants.pricing.quote_adjusting import Adjusted, adjustments_asked
from tenants.pricing.rating import Piece, pieces_amount
from tenants.pricing.selectors.books import tenant_terms

VALID_FOR = dt.timedelta(hours=1)
CASES = ("low", "expected", "high")


@dataclass(frozen=True)
class QuoteLine:
    """What the work will probably count of one meter: `low` <= `expected` <= `high`."""

    meter: str
    low: Decimal
    expected: Decimal
    high: Decimal
    dimensions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        quantities = (self.low, self.expected, self.high)
        if not all(q.is_finite() for q in quantities) or not (
            0 <= self.low <= self.expected <= self.high
        ):
            raise InvalidInput(
                f"{self.meter}: 0 <= low <= expected <= high does not hold",
                param="lines",
            )


@dataclass(frozen=True)
class QuoteAmount:
    """What one case would cost."""

    net: Money
    tax: Money

    @property
    def gross(self) -> Money:
        return self.net + self.tax


def quote_make(
    *,
    actor: Actor,
    kind: str,
    fingerprint: str,
    lines: Sequence[QuoteLine],
    seconds: Sequence[Decimal] | None = None,
    adjustable: bool = False,
) -> Quote:
    """Price work for the actor's tenant, and keep the promise for an hour.

    Low and expected count on from what this month has used. High is the most that the high
    quantities can cost wherever in the month they fall, no free units counted on: other work may
    use those up first. Tax is what would be due if no part were paid by untaxed credit. `seconds`:
    low, expected and high duration. `adjustable`: the tenant's plugins may change it; who charges
    the work passes `quote_share` on. Raises InvalidInput.
    """
    if seconds is not None and len(seconds) != len(CASES):
        raise InvalidInput("seconds are low, expected and high", param="seconds")
    moment = now()
    period = period_of(moment)
    terms = tenant_terms([actor.tenant_id], [period])[actor.tenant_id, period]
    card = terms.at(moment)
    rated = _rated(terms, moment, lines)
    tax_rate = wallet_balance(tenant_id=actor.tenant_id, currency=card.currency).tax_rate
    found: tuple[Adjusted, ...] = ()
    if adjustable:
        expected = Money(rated["expected"], card.currency)
        found = adjustments_asked(actor.tenant_id, kind, expected, lines, card)
    factor = EXACT.add(Decimal(1), sum((each.share for each in found), ZERO))
    amounts: dict[str, Any] = {}
    for case in CASES:
        net = round12(EXACT.multiply(rated[case], factor))
        amounts[f"{case}_net"] = net
        amounts[f"{case}_tax"] = round12(EXACT.multiply(net, tax_rate))
    quote: Quote = Quote.objects.create(
        id=new_id("quote_"),
        tenant_id=actor.tenant_id,
        kind=kind,
        fingerprint=fingerprint,
        currency=card.currency,
        version_id=card.version_id,
        contract_id=card.contract_id,
        lines=[_told(line) for line in lines],
        seconds=None if seconds is None else [plain(s) for s in seconds],
        adjustments=[each.told() for each in found],
        created_at=moment,
        expires_at=moment + VALID_FOR,
        **amounts,
    )
    return quote


def price_now(tenant_id: str, line: QuoteLine) -> Money:
    """What `line.expected` would cost a tenant net, from what this month has used. Stores nothing.

    Raises NotFound where no price is in force.
    """
    moment = now()
    period = period_of(moment)
    terms = tenant_terms([tenant_id], [period])[tenant_id, period]
    return Money(_rated(terms, moment, [line])["expected"], terms.at(moment).currency)


def quote_use(quote_id: str, fingerprint: str) -> Quote:
    """Return the quote that a piece of work names, in the scope in force.

    Raises NotFound, Conflict(code="quote_expired") after its hour, or
    Conflict(code="quote_mismatch") where it was made for other work.
    """
    quote: Quote | None = Quote.objects.filter(pk=quote_id).first()
    if quote is None:
        raise NotFound(f"no quote {quote_id!r}", param="quote_id")
    if quote.fingerprint != fingerprint:
        raise Conflict(
            f"{quote_id} was made for other work; ask for a quote of this one",
            param="quote_id",
            code="quote_mismatch",
        )
    if quote.expires_at <= now():
        raise Conflict(
            f"{quote_id} expired at {quote.expires_at:%Y-%m-%d %H:%M} UTC; ask for a new one",
            param="quote_id",
            code="quote_expired",
        )
    return quote


def quote_share(quote: Quote) -> Decimal:
    """What a quote was adjusted by in all, as a share of its price before; below 0: a discount."""
    return sum((Decimal(each["share"]) for each in quote.adjustments), ZERO)


def quote_amounts(quote: Quote) -> dict[str, QuoteAmount]:
    """Low, expected and high, each net, tax and gross."""
    return {
        case: QuoteAmount(
            Money(getattr(quote, f"{case}_net"), quote.currency),
            Money(getattr(quote, f"{case}_tax"), quote.currency),
        )
        for case in CASES
    }


def _rated(terms: Terms, moment: dt.datetime, lines: Sequence[QuoteLine]) -> dict[str, Decimal]:
    """Net amounts by case; lines of one price key count on from each other."""
    card = terms.at(moment)
    used = _used(terms, card.currency)
    sums = dict.fromkeys(CASES, ZERO)
    with localcontext(EXACT):
        for case in CASES:
            reached = dict(used)
            for line in lines:
                price = card.price_of(line.meter, line.dimensions)
                quantity = getattr(line, case)
                if case == "high":
                    sums[case] += round12(most(price.model, quantity) * card.factor)
                    continue
                before = reached.get(price.key, ZERO)
                reached[price.key] = before + quantity
                after = pieces_amount([Piece(price.model, before + quantity, card.factor)])
                step = after - pieces_amount([Piece(price.model, before, card.factor)])
                sums[case] += max(ZERO, step)
        sums["low"] = min(sums["low"], sums["expected"])
        sums["high"] = max(sums["high"], sums["expected"])
    return sums


def _used(terms: Terms, currency: str) -> dict[str, Decimal]:
    """By price key, what this month has been charged for so far."""
    rows = PeriodTotal.objects.filter(
        tenant_id=terms.tenant_id, period=terms.period, currency=currency
    )
    used: dict[str, Decimal] = {}
    for key, quantity in rows.values_list("price_key", "quantity"):
        used[key] = EXACT.add(used.get(key, ZERO), quantity)
    return used


def _told(line: QuoteLine) -> dict[str, Any]:
    return {
        "meter": line.meter,
        "low": plain(line.low),
        "expected": plain(line.expected),
        "high": plain(line.high),
        "dimensions": dict(match_of(line.dimensions)),
    }
