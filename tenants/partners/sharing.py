"""What a partner gets of a sale: pure arithmetic, exact, in 12 decimals.

A share is a step of a month's cumulative function, as a charge is: however sales are cut, the
steps come to the share of their sum. Who pays for a charge is known only when the ledger has posted
it, so a share is told as what it comes to before that, and two weights:

    amount - (on_promotion x what promotions paid + on_money x what money paid) / what was charged
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, Overflow

from tenants.partners.terms import LineTerms, Terms

ZERO = Decimal(0)
POINT = Decimal("0.000000000001")
_CONTEXT = Context(prec=200, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])


@dataclass(frozen=True)
class Sold:
    """What an agreement has come to: this month's sales by revenue line, and costs borne ever."""

    net: Mapping[str, Decimal]
    borne: Decimal = ZERO


@dataclass(frozen=True)
class Cut:
    """A partner's part of `net`, sold on one revenue line, and what it bears of the compute."""

    revenue: str
    net: Decimal
    amount: Decimal
    on_promotion: Decimal
    on_money: Decimal
    cost: Decimal = ZERO


def share_of_month(line: LineTerms, net: Decimal) -> Decimal:
    """What the partner gets of a month's sales `net` on a line, before its minimum. Exact."""
    total, below = ZERO, ZERO
    for tier in line.tiers:
        top = net if tier.up_to is None else min(net, tier.up_to)
        if top <= below:
            break
        total = _CONTEXT.add(total, _CONTEXT.multiply(top - below, tier.share))
        below = top
    return total


def cut_of(
    terms: Terms, revenue: str, net: Decimal, *, sold: Sold, counted: bool, cost: Decimal = ZERO
) -> Cut | None:
    """A partner's part of a sale, and of its compute cost. None: the agreement shares neither.

    `counted`: the sale is in the agreement's currency, so that tiers and the cap count it; another
    one is shared by the first tier, and bears cost without regard to the cap.
    """
    line = terms.lines.get(revenue)
    if line is None or net <= 0:
        return None
    before = sold.net.get(revenue, ZERO) if counted else ZERO
    amount = (
        share_of_month(line, _CONTEXT.add(before, net)) - share_of_month(line, before)
        if counted
        else _CONTEXT.multiply(net, line.tiers[0].share)
    )
    amount = _round(amount)
    weights = {"platform": ZERO, "both": amount, "partner": net}
    return Cut(
        revenue=revenue,
        net=net,
        amount=amount,
        on_promotion=weights[terms.promotion],
        on_money=_round(_CONTEXT.multiply(weights[terms.fee], terms.fee_rate)),
        cost=cost_borne(terms, cost, sold.borne, counted=counted),
    )


def cost_borne(terms: Terms, cost: Decimal, borne: Decimal, *, counted: bool) -> Decimal:
    """What the partner bears of `cost`, having borne `borne` before."""
    part = _round(_CONTEXT.multiply(cost, terms.cost_share))
    if terms.cost_cap is None or not counted:
        return part
    return max(ZERO, min(part, terms.cost_cap - borne))


def settled(cut: Cut, *, charged: Decimal, promotion: Decimal, money: Decimal) -> Decimal:
    """The share once it is known who paid: `promotion` and `money` are net parts of `charged`.

    The database settles by the same formula (`tenants/ledger/sql/shares.sql`); a test compares.
    """
    over = _CONTEXT.add(
        _CONTEXT.multiply(cut.on_promotion, promotion), _CONTEXT.multiply(cut.on_money, money)
    )
    off = _CONTEXT.divide(over, charged).quantize(POINT, ROUND_DOWN, _CONTEXT)
    return cut.amount - off


def top_up(line: LineTerms, earned: Decimal) -> Decimal:
    """What is missing to a month's minimum."""
    return max(ZERO, line.minimum - earned)


def _round(amount: Decimal) -> Decimal:
    return _CONTEXT.quantize(amount, POINT)
