"""How a statement's charges were settled, and what is therefore due. Pure.

The ledger settles each charge when it is made: from an allowance, a promotion, prepaid credit, or
not yet (postpaid). A statement sums what settled its own charges and says the rest is due.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from tenants.kernel.money import Money

ZERO = Decimal(0)
_POINT = Decimal("0.000000000001")  # the ledger's 12 decimals


@dataclass(frozen=True)
class Settled:
    """Gross amounts by what paid them, 12 decimals; `tax` is the part of it all that is tax."""

    allowance: Decimal = ZERO
    promotion: Decimal = ZERO
    prepaid: Decimal = ZERO  # paid credit that is taxed as it is used
    prepaid_untaxed: Decimal = ZERO  # paid credit that was taxed at top-up
    postpaid: Decimal = ZERO
    tax: Decimal = ZERO

    def __add__(self, other: Settled) -> Settled:
        return Settled(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )

    def __sub__(self, other: Settled) -> Settled:
        return Settled(
            **{f.name: getattr(self, f.name) - getattr(other, f.name) for f in fields(self)}
        )

    @property
    def gross(self) -> Decimal:
        parts = (self.allowance, self.promotion, self.prepaid, self.prepaid_untaxed, self.postpaid)
        return sum(parts, ZERO)

    @property
    def taxed_net(self) -> Decimal:
        """Net of what bore tax: the base of the tax line."""
        return self.prepaid + self.postpaid - self.tax

    def to_json(self) -> dict[str, str]:
        return {f.name: f"{getattr(self, f.name):f}" for f in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> Settled:
        return cls(**{f.name: Decimal(data.get(f.name, "0")) for f in fields(cls)})


def total(parts: Iterable[Settled]) -> Settled:
    return sum(parts, Settled())


def shares(amount: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Split `amount` in proportion to `weights`, in 12 decimals, so that the parts sum to it.

    Cut where the running total is rounded, so no part is out by more than one unit. Weights that
    sum to zero take nothing, the last one all.
    """
    whole = sum(weights, ZERO)
    parts: list[Decimal] = []
    given = running = ZERO
    with localcontext() as context:
        context.prec = 100
        for position, weight in enumerate(weights):
            running += weight
            if position == len(weights) - 1:
                upto = amount
            elif whole == 0:
                upto = ZERO
            else:
                upto = (amount * running / whole).quantize(_POINT, ROUND_HALF_EVEN)
            parts.append(upto - given)
            given = upto
    return parts


@dataclass(frozen=True)
class Document:
    """An invoice's amounts in whole minor units.

    `total = net + tax` and `due = total - allowance - promotion - prepaid + brought_forward`;
    `prepaid` holds `prepaid_untaxed`. `rounding` is due less what is exactly owed, and
    `tax_rounding` the tax line less the tax that was posted: both are posted.
    """

    net: Decimal
    tax: Decimal
    allowance: Decimal
    promotion: Decimal
    prepaid: Decimal
    prepaid_untaxed: Decimal
    brought_forward: Decimal
    due: Decimal
    rounding: Decimal
    tax_rounding: Decimal

    @property
    def total(self) -> Decimal:
        return self.net + self.tax


def document(
    *, net: Decimal, tax: Decimal, settled: Settled, owed: Decimal, currency: str
) -> Document:
    """Lay out what an invoice says.

    `net` and `tax` are the sums of its lines, in minor units; `settled` is what paid the charges
    behind them; `owed` is what the receivable exactly holds for it, less than zero where the
    customer is owed. Where credit paid for all of it, nothing is due, to the cent: the rounding of
    the lines then shows in the credit that was used; else it shows in what is due.
    """

    def cents(amount: Decimal) -> Decimal:
        return Money(amount, currency).rounded().amount

    credit = {
        "allowance": cents(settled.allowance),
        "promotion": cents(settled.promotion),
        "prepaid": cents(settled.prepaid + settled.prepaid_untaxed),
    }
    forward = cents(owed - settled.postpaid)
    used = max(credit, key=lambda name: credit[name])
    if credit[used] > 0:
        own = cents(settled.postpaid)
        credit[used] += (net + tax) - sum(credit.values(), ZERO) - own
    due = net + tax - sum(credit.values(), ZERO) + forward
    if due < 0:
        forward, due = forward - due, ZERO
    return Document(
        net=net,
        tax=tax,
        **credit,
        prepaid_untaxed=min(credit["prepaid"], cents(settled.prepaid_untaxed)),
        brought_forward=forward,
        due=due,
        rounding=due - owed if owed > 0 or due > 0 else ZERO,
        tax_rounding=tax - settled.tax,
    )
