"""Exact money: `Decimal`, a currency on every amount, never float."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Overflow

from iso4217 import Currency

_MINOR_UNITS = {c.code: c.exponent for c in Currency if c.exponent is not None}  # not metals

# Python's own context rounds to 28 digits without a word; here a result is exact or an error.
_EXACT = Context(prec=200, traps=[Inexact, InvalidOperation, Overflow])
_ROUNDING = Context(prec=200, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])


def minor_units(currency: str) -> int:
    """Digits after the point on an invoice in `currency`. Raises ValueError for no currency."""
    if currency not in _MINOR_UNITS:
        raise ValueError(
            f"{currency!r} is no currency of ISO 4217: three capital letters, like USD"
        )
    return _MINOR_UNITS[currency]


@dataclass(frozen=True, order=False)
class Money:
    """An exact amount in one currency.

    Raises TypeError for floats and ValueError for a currency that is not in ISO 4217, an amount
    that is not finite, or arithmetic between currencies.
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise TypeError(f"money takes a Decimal, not {type(self.amount).__name__}")
        if not self.amount.is_finite():
            raise ValueError(f"money must be finite, not {self.amount}")
        minor_units(self.currency)

    @classmethod
    def of(cls, amount: str | int | Decimal, currency: str) -> Money:
        if isinstance(amount, float):
            raise TypeError("money is never made from a float; pass a string")
        return cls(Decimal(amount), currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(Decimal(0), currency)

    def __add__(self, other: Money) -> Money:
        return Money(_EXACT.add(self.amount, self._same(other)), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(_EXACT.subtract(self.amount, self._same(other)), self.currency)

    def __neg__(self) -> Money:
        return Money(_EXACT.minus(self.amount), self.currency)

    def __mul__(self, factor: int | Decimal) -> Money:
        if isinstance(factor, float):
            raise TypeError("money is never multiplied by a float; pass a Decimal")
        return Money(_EXACT.multiply(self.amount, Decimal(factor)), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other)

    def rounded(self) -> Money:
        """Round half to even, to the currency's minor unit. Done once, on the invoice line."""
        quantum = Decimal(1).scaleb(-minor_units(self.currency))
        return Money(_ROUNDING.quantize(self.amount, quantum), self.currency)

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"

    def _same(self, other: Money) -> Decimal:
        if self.currency != other.currency:
            raise ValueError(f"cannot mix {self.currency} and {other.currency}; convert first")
        return other.amount
