"""What a currency may be. Pure."""

from __future__ import annotations

from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import Money


def currency_check(currency: str, param: str = "currency") -> None:
    """Raises InvalidInput for what is no currency of ISO 4217."""
    try:
        Money.zero(currency)
    except ValueError as error:
        raise InvalidInput(str(error), param=param) from error
