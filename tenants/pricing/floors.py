"""The lowest price at which a sale still earns its margin. Pure.

p x (1 - fees - share - margin) >= C: what a percentage of the price takes (ad-valorem fees, a
partner's share, the margin wanted) is paid from the price itself; C holds fixed fees only.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal

from tenants.kernel.errors import InvalidInput

WIDE = Context(prec=60)
ONE = Decimal(1)


@dataclass(frozen=True)
class Takes:
    """What is taken of a price, as shares of it. Raises InvalidInput where nothing is left."""

    fees: Decimal = Decimal(0)
    share: Decimal = Decimal(0)
    margin: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        for name in ("fees", "share", "margin"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidInput(f"{name} is a share of the price, from 0 to below 1", param=name)
        if self.kept <= 0:
            raise InvalidInput("fees, share and margin together leave nothing of a price")

    @property
    def kept(self) -> Decimal:
        """What is left of a price to pay costs from."""
        return ONE - self.fees - self.share - self.margin


def price_floor(cost: Decimal, takes: Takes) -> Decimal:
    """The floor of a unit's effective price, for its cost with fixed fees, in 60 digits."""
    if cost < 0:
        raise InvalidInput("a cost is at least 0", param="cost")
    return WIDE.divide(cost, takes.kept)
