"""How much of an invoice a credit note gives back, and out of what. Pure.

What was settled last goes back first: what is still owed, what was paid on the invoice, prepaid
credit, promotions, the allowance. The taxed parts come first, so tax goes back at the rate at
which it was taken: in proportion, and to the cent once all of it is given back.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

from tenants.billing.books import GivenBack
from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import Money

ZERO = Decimal(0)
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Standing:
    """An invoice, less what earlier notes gave back. All in minor units.

    `net`, `tax` and `taxed` (the base that bore the tax) are the whole invoice's; `credited_net`
    and `credited_tax` went back before. `left` is, gross, what settles the rest of it.
    """

    currency: str
    net: Decimal
    tax: Decimal
    taxed: Decimal
    left: GivenBack
    credited_net: Decimal = ZERO
    credited_tax: Decimal = ZERO


@dataclass(frozen=True)
class Note:
    """A credit note's amounts; `parts` come to net and tax."""

    net: Decimal
    tax: Decimal
    parts: GivenBack

    @property
    def total(self) -> Decimal:
        return self.net + self.tax


def note_of(standing: Standing, net: Decimal) -> Note:
    """Lay out a credit note over `net` of an invoice.

    Raises InvalidInput for nothing, for parts of a minor unit, and for more than is left of it.
    """
    left = standing.net - standing.credited_net
    if net != Money(net, standing.currency).rounded().amount:
        raise InvalidInput(f"{net} has more decimals than {standing.currency}", param="amount")
    if not 0 < net <= left:
        raise InvalidInput(
            f"a credit note over {net} is not above 0 and within the {left} {standing.currency} "
            "that are left of the invoice",
            param="amount",
            code="credit_note_amount",
        )
    tax = _tax_back(standing, standing.credited_net + net) - standing.credited_tax
    return Note(net=net, tax=tax, parts=_parts(standing.left, net + tax))


def _tax_back(standing: Standing, reached: Decimal) -> Decimal:
    """Tax on the first `reached` of net: the taxed base goes first."""
    if reached >= min(standing.taxed, standing.net):
        return standing.tax
    share = _EXACT.divide(_EXACT.multiply(standing.tax, reached), standing.taxed)
    return Money(share, standing.currency).rounded().amount


def _parts(left: GivenBack, gross: Decimal) -> GivenBack:
    """Fill `gross` from what settled the invoice, last in, first out.

    What none of it settled was brought forward from another month: it becomes paid credit.
    """
    found: dict[str, Decimal] = {}
    for name in ("owed", "paid", "prepaid", "untaxed", "promotion", "allowance"):
        found[name] = max(ZERO, min(gross, getattr(left, name)))
        gross -= found[name]
    found["prepaid"] += gross
    return GivenBack(**found)
