"""Exact money: `Decimal`, a currency on every amount, never float."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Overflow

# ISO 4217 minor units that differ from two.
_MINOR_UNITS = {
    "JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "UGX": 0, "XAF": 0, "XOF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "OMR": 3, "TND": 3,
}  # fmt: skip

# Python's own context rounds to 28 digits without a word; here a result is exact or an error.
_EXACT = Context(prec=200, traps=[Inexact, InvalidOperation, Overflow])
_ROUNDING = Context(prec=200, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])


def minor_units(currency: str) -> int:
    """Digits after the point on an invoice in `currency` (ISO 4217)."""
    return _MINOR_UNITS.get(currency, 2)


def _is_code(currency: str) -> bool:
    return currency.isascii() and currency.isalpha() and currency.isupper()


@dataclass(frozen=True, order=False)
class Money:
    """An exact amount in one currency.

    Raises TypeError for floats and ValueError for a currency that is not three capital letters,
    an amount that is not finite, or arithmetic between currencies.
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise TypeError(f"money takes a Decimal, not {type(self.amount).__name__}")
        if not self.amount.is_finite():
            raise ValueError(f"money must be finite, not {self.amount}")
        if not (len(self.currency) == 3 and _is_code(self.currency)):
            raise ValueError(
                f"currency must be three capital letters (ISO 4217): {self.currency!r}"
            )

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
