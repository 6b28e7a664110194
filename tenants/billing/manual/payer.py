"""Bank transfers to partners: the operator makes them by hand, and says so afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal

from tenants.billing.payouts import Part
from tenants.billing.providers import MANUAL
from tenants.kernel.money import Money, minor_units


class ManualPayer:
    name = MANUAL

    def require_ready(self, tenant_id: str) -> None:
        """A bank account is asked for by the operator: nothing is kept here."""

    def payable(self, amount: Money) -> Money:
        """Whole minor units: a bank moves nothing finer."""
        quantum = Decimal(1).scaleb(-minor_units(amount.currency))
        return Money(amount.amount.quantize(quantum, ROUND_DOWN), amount.currency)

    def pay(self, tenant_id: str, parts: Sequence[Part], *, key: str) -> None:
        """Nothing is sent: what is on its way waits for the operator's word."""

    def take_back(self, tenant_id: str, amount: Money, *, key: str) -> Money:
        """Nothing comes back by itself: what a partner owes is taken off its next earnings."""
        del tenant_id, key
        return Money.zero(amount.currency)
