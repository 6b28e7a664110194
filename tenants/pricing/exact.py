"""Decimals that are exact or an error, and the two roundings: 12 decimals, and cents. Pure.

Python's own context rounds to 28 digits without a word; nothing here does.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Overflow

from tenants.kernel.money import minor_units

ZERO = Decimal(0)
LEDGER_DECIMALS = 12
EXACT = Context(
    prec=200, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation, Overflow]
)  # for `with localcontext(EXACT):`
_ROUNDING = Context(prec=200, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])
_LEDGER_QUANTUM = Decimal(1).scaleb(-LEDGER_DECIMALS)


def round12(amount: Decimal) -> Decimal:
    """Round half to even to the ledger's 12 decimals."""
    return _ROUNDING.quantize(amount, _LEDGER_QUANTUM)


def rounded(amount: Decimal, quantum: Decimal) -> Decimal:
    """Round half to even to multiples of `quantum`: for showing and comparing, never to charge."""
    return _ROUNDING.quantize(amount, quantum)


def to_minor_unit(amount: Decimal, currency: str) -> Decimal:
    """Round half to even to what `currency` is paid in (ISO 4217: 0, 2 or 3 decimals)."""
    return _ROUNDING.quantize(amount, Decimal(1).scaleb(-minor_units(currency)))


def share_of(amount: Decimal, part: int, whole: int) -> Decimal:
    """Return `amount` x part / whole, in 12 decimals."""
    return round12(_ROUNDING.divide(_ROUNDING.multiply(amount, Decimal(part)), Decimal(whole)))


def quotient(amount: Decimal, divisor: Decimal) -> Decimal:
    """Return amount / divisor in 18 decimals: for comparing and bounding, never for charging."""
    return _ROUNDING.quantize(_ROUNDING.divide(amount, divisor), Decimal(1).scaleb(-18))


def plain(amount: Decimal) -> str:
    """One text for one number: 1, 1.0 and 1E+0 are all "1"."""
    text = f"{EXACT.normalize(amount):f}"
    return "0" if text == "-0" else text
