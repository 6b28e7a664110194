"""Rating: from quantities to amounts. Pure; the same facts always give the same bytes.

In mid-period a charge is a step of a cumulative amount, so that the charges of a month sum to the
amount of its total however the usage was cut. `rate` prices a whole month for its statement.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from tenants.pricing.cards import ContractTerms, RateCard, Terms, month_bounds
from tenants.pricing.charge_models import ChargeModel, amount
from tenants.pricing.exact import EXACT, ZERO, round12, share_of, to_minor_unit

ALGORITHM = 1  # raised when `rate` would answer otherwise; old statements keep theirs

USAGE, PLAN_FEE, TRUE_UP, CAP = "usage", "plan_fee", "true_up", "cap"
QUOTE_CAP, WAIVER, ADJUSTMENT = "quote_cap", "waiver", "adjustment"


@dataclass(frozen=True)
class Piece:
    """`quantity` under one rate card; `factor` is the card's discount and exchange rate."""

    model: ChargeModel
    quantity: Decimal
    factor: Decimal = Decimal(1)


@dataclass(frozen=True)
class KeyTotal:
    """What a month counted under one price key and one rate card."""

    price_key: str
    version_id: str
    contract_id: str
    quantity: Decimal


@dataclass(frozen=True)
class Adjustment:
    """Money that charges took off outside of prices: kind `quote_cap` or `waiver`, `net` < 0; or
    what a quote was adjusted by, `adjustment`, of either sign.
    """

    kind: str
    revenue: str
    contract_id: str
    net: Decimal


@dataclass(frozen=True)
class TaxFacts:
    """`rate` is a share of 1. `untaxed`: what promotions, allowances and taxed credit have paid."""

    rate: Decimal = ZERO
    jurisdiction: str = ""
    untaxed: Decimal = ZERO


@dataclass(frozen=True)
class PeriodFacts:
    """All that an invoice is made of. `residual`: exact less invoiced, carried from before."""

    terms: Terms
    currency: str
    totals: tuple[KeyTotal, ...]
    adjustments: tuple[Adjustment, ...] = ()
    residual: Decimal = ZERO
    tax: TaxFacts = field(default_factory=TaxFacts)
    algorithm: int = ALGORITHM


@dataclass(frozen=True)
class RatedLine:
    """`exact` has 12 decimals; `cents` is what the invoice says, in the currency's minor unit."""

    kind: str
    revenue: str
    price_key: str
    version_id: str
    contract_id: str
    quantity: Decimal
    exact: Decimal
    cents: Decimal = ZERO


@dataclass(frozen=True)
class TaxLine:
    jurisdiction: str
    rate: Decimal
    taxable: Decimal
    tax: Decimal


@dataclass(frozen=True)
class RatedPeriod:
    """sum(exact) + residual_in = sum(cents) + residual_out, and |residual| is half a cent at
    most.
    """

    tenant_id: str
    period: dt.date
    currency: str
    algorithm: int
    lines: tuple[RatedLine, ...]
    tax_lines: tuple[TaxLine, ...]
    residual_in: Decimal
    residual_out: Decimal
    net_exact: Decimal
    net: Decimal
    tax: Decimal
    gross: Decimal


def step(model: ChargeModel, before: Decimal, delta: Decimal) -> Decimal:
    """What `delta` more units cost after `before`, in 12 decimals; never below 0."""
    with localcontext(EXACT):
        after = round12(amount(model, before + delta))
        return max(ZERO, after - round12(amount(model, before)))


def pieces_amounts(pieces: Sequence[Piece]) -> list[Decimal]:
    """What each of one key's pieces, in order of time, adds to its month: 12 decimals each.

    Tiers count on from piece to piece. Only the running sum is rounded, so the parts sum to the
    rounded whole; where models and factors are equal, to that of one piece.
    """
    with localcontext(EXACT):
        found: list[Decimal] = []
        used, exact, rounded = ZERO, ZERO, ZERO
        for piece in pieces:
            reached = used + piece.quantity
            exact += (amount(piece.model, reached) - amount(piece.model, used)) * piece.factor
            found.append(round12(exact) - rounded)
            used, rounded = reached, round12(exact)
        return found


def pieces_amount(pieces: Sequence[Piece]) -> Decimal:
    """What one key's pieces, in order of time, cost together: 12 decimals."""
    with localcontext(EXACT):
        return sum(pieces_amounts(pieces), ZERO)


def rate(facts: PeriodFacts) -> RatedPeriod:
    """Price a month: usage, caps, true-ups and plan fees by contract, adjustments, tax, cents.

    Raises ValueError for an algorithm this code does not know.
    """
    if facts.algorithm != ALGORITHM:
        raise ValueError(f"rating algorithm {facts.algorithm} is not known here")
    with localcontext(EXACT):
        lines = [*_usage_lines(facts), *_adjustment_lines(facts)]
        lines += [line for terms in _contracts(facts) for line in _contract_lines(terms, lines)]
        return _invoiced(facts, _with_cents(lines, facts.residual, facts.currency))


def _usage_lines(facts: PeriodFacts) -> list[RatedLine]:
    """One line a price key and rate card, in alphabetical and then temporal order."""
    lines = []
    for key in sorted({total.price_key for total in facts.totals}):
        held = {
            (t.version_id, t.contract_id): t.quantity for t in facts.totals if t.price_key == key
        }
        cards = [
            card
            for name, card in facts.terms.by_name.items()
            if name in held and card.currency == facts.currency
        ]
        pieces = [
            Piece(
                card.prices.by_key[key].model, held[card.version_id, card.contract_id], card.factor
            )
            for card in cards
        ]
        for card, piece, exact in zip(cards, pieces, pieces_amounts(pieces), strict=True):
            revenue = card.prices.by_key[key].revenue
            if piece.quantity:
                lines.append(_line(USAGE, revenue, card, key, piece.quantity, exact))
    return lines


def _line(
    kind: str, revenue: str, card: RateCard, key: str, quantity: Decimal, exact: Decimal
) -> RatedLine:
    return RatedLine(
        kind=kind,
        revenue=revenue,
        price_key=key,
        version_id=card.version_id,
        contract_id=card.contract_id,
        quantity=quantity,
        exact=exact,
    )


def _adjustment_lines(facts: PeriodFacts) -> list[RatedLine]:
    ordered = sorted(facts.adjustments, key=lambda a: (a.kind, a.revenue, a.contract_id))
    return [
        RatedLine(
            kind=adjustment.kind,
            revenue=adjustment.revenue,
            price_key="",
            version_id="",
            contract_id=adjustment.contract_id,
            quantity=ZERO,
            exact=adjustment.net,
        )
        for adjustment in ordered
        if adjustment.net
    ]


def _contracts(facts: PeriodFacts) -> list[tuple[ContractTerms, int, int]]:
    """Each contract of this currency with the share of the month in which it held."""
    since, until = month_bounds(facts.terms.period)
    second = dt.timedelta(seconds=1)
    found = []
    for terms in facts.terms.contracts:
        held = min(until, terms.ends or until) - max(since, terms.starts)
        if terms.currency == facts.currency and held > dt.timedelta(0):
            found.append((terms, held // second, (until - since) // second))
    return found


def _contract_lines(
    held: tuple[ContractTerms, int, int], lines: Sequence[RatedLine]
) -> list[RatedLine]:
    """A contract's cap, true-up to its commitment, and plan fee, each for its share of the month.

    Cap and commitment are measured on usage net of what was waived or capped by a quote; the
    plan fee stands apart.
    """
    terms, seconds, whole = held
    spent = sum((line.exact for line in lines if line.contract_id == terms.contract_id), ZERO)
    found = []
    if terms.cap is not None and spent > (most := share_of(terms.cap, seconds, whole)):
        found.append(_terms_line(CAP, "commitment", terms, most - spent))
    if spent < (least := share_of(terms.commitment, seconds, whole)):
        found.append(_terms_line(TRUE_UP, "commitment", terms, least - spent))
    if terms.plan_fee:
        fee = share_of(terms.plan_fee, seconds, whole)
        found.append(_terms_line(PLAN_FEE, "plan", terms, fee))
    return found


def _terms_line(kind: str, revenue: str, terms: ContractTerms, exact: Decimal) -> RatedLine:
    return RatedLine(
        kind=kind,
        revenue=revenue,
        price_key="",
        version_id="",
        contract_id=terms.contract_id,
        quantity=ZERO,
        exact=exact,
    )


def _with_cents(
    lines: Sequence[RatedLine], residual: Decimal, currency: str
) -> tuple[RatedLine, ...]:
    """Round the running sum, from the carried residual on: each line's cents are the difference."""
    found = []
    running = residual
    rounded = to_minor_unit(running, currency)
    for line in lines:
        running += line.exact
        reached = to_minor_unit(running, currency)
        found.append(RatedLine(**{**line.__dict__, "cents": reached - rounded}))
        rounded = reached
    return tuple(found)


def _invoiced(facts: PeriodFacts, lines: tuple[RatedLine, ...]) -> RatedPeriod:
    net_exact = sum((line.exact for line in lines), ZERO)
    net = sum((line.cents for line in lines), ZERO)
    tax_lines = _tax_lines(facts, net)
    tax = sum((line.tax for line in tax_lines), ZERO)
    return RatedPeriod(
        tenant_id=facts.terms.tenant_id,
        period=facts.terms.period,
        currency=facts.currency,
        algorithm=facts.algorithm,
        lines=lines,
        tax_lines=tax_lines,
        residual_in=facts.residual,
        residual_out=facts.residual + net_exact - net,
        net_exact=net_exact,
        net=net,
        tax=tax,
        gross=net + tax,
    )


def _tax_lines(facts: PeriodFacts, net: Decimal) -> tuple[TaxLine, ...]:
    """Tax is on what the invoice says, in cents."""
    taxable = max(ZERO, net - to_minor_unit(facts.tax.untaxed, facts.currency))
    if not facts.tax.rate or not taxable:
        return ()
    tax = to_minor_unit(taxable * facts.tax.rate, facts.currency)
    return (TaxLine(facts.tax.jurisdiction, facts.tax.rate, taxable, tax),)
