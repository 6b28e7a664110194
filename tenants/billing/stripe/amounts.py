"""Money as Stripe counts it: whole numbers of the currency's smallest unit. Pure.

https://docs.stripe.com/currencies: some currencies have no minor unit; three decimals end in zero;
two that have no minor unit any more are still counted in hundredths.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import Money

_WHOLE = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
_HUNDREDTHS_OF_WHOLE = frozenset({"ISK", "UGX"})
_THOUSANDTHS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
# https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
MOST = 99_999_999
_LEAST = {
    "0.3": "GBP",
    "0.5": "AUD BRL CAD CHF EUR INR NZD SGD USD",
    "1": "BGN",
    "2": "AED MYR PLN RON",
    "2.5": "DKK",
    "3": "NOK SEK",
    "4": "HKD",
    "10": "MXN THB",
    "15": "CZK",
    "50": "JPY",
    "175": "HUF",
}
LEAST = {code: Decimal(amount) for amount, codes in _LEAST.items() for code in codes.split()}


def exponent(currency: str) -> int:
    """Digits by which Stripe's whole numbers stand below one unit of `currency`."""
    if currency in _WHOLE:
        return 0
    return 3 if currency in _THOUSANDTHS else 2


def to_stripe(money: Money) -> int:
    """`money` as Stripe's whole number.

    Raises InvalidInput where Stripe cannot take exactly that amount.
    """
    if collectable(money) != money:
        raise InvalidInput(
            f"{money} is not a multiple of {_step(money.currency)} {money.currency}, which is the "
            "least that a card can be charged by",
            param="amount",
            code="amount_too_fine",
        )
    whole = int(money.amount.scaleb(exponent(money.currency)))
    if abs(whole) > MOST:
        raise InvalidInput(f"{money} is more than one payment can be", param="amount")
    return whole


def of_stripe(whole: int, currency: str) -> Money:
    """Stripe's whole number as money; `currency` in either case."""
    code = currency.upper()
    return Money(Decimal(whole).scaleb(-exponent(code)), code)


def is_too_small(money: Money) -> bool:
    """Whether no card is charged so little; of some currencies only Stripe knows."""
    return bool(money.amount < LEAST.get(money.currency, 0))


def collectable(money: Money) -> Money:
    """The largest amount up to `money` that Stripe can take."""
    step = _step(money.currency)
    steps = (money.amount / step).to_integral_value(rounding=ROUND_DOWN)
    return Money(steps * step, money.currency)


def chargeable(money: Money) -> Money:
    """The smallest amount from `money` up that Stripe can take."""
    least = collectable(money)
    step = Money(_step(money.currency), money.currency)
    return least if least == money else least + step


def _step(currency: str) -> Decimal:
    if currency in _WHOLE or currency in _HUNDREDTHS_OF_WHOLE:
        return Decimal(1)
    return Decimal("0.01")
