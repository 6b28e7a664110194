"""What the tenant's plugins change a quote by: asked for a moment, judged, held to the price guard.

A change is a share of the quote, so that it holds for whatever the work comes to. One that is late,
broken, or takes a price below its cost is left out, and is on the plugin's health; the quote stands
as it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from django.db import connections

from plugins.host.facts import Failure, Outcome
from plugins.sdk.contracts import Quote
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.partners.calls import hooks_ask, outcomes_keep
from tenants.partners.models import Release
from tenants.pricing.cards import RateCard
from tenants.pricing.exact import EXACT, ZERO, plain, quotient, round12
from tenants.pricing.guard import EffectivePrice
from tenants.pricing.selectors.guarding import quote_shortfalls

HOOK = "quote_adjustment"
LIMIT_S = 2.0  # a customer waits
LONGEST_REASON = 200
ONE = Decimal(1)


class Counted(Protocol):
    """A quote's line."""

    @property
    def meter(self) -> str: ...
    @property
    def dimensions(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class Adjusted:
    """A plugin's part of a quote: below 0 a discount. `amount` is of the expected price, net;
    `share` of any price, in 12 decimals.
    """

    plugin: str
    reason: str
    amount: Decimal
    share: Decimal

    def told(self) -> dict[str, str]:
        return {
            "plugin": self.plugin,
            "reason": self.reason,
            "amount": plain(self.amount),
            "share": plain(self.share),
        }


def adjustments_asked(
    tenant_id: str, kind: str, expected: Money, lines: Sequence[Counted], card: RateCard
) -> tuple[Adjusted, ...]:
    """Ask the tenant's plugins about work of a kind that is expected to cost this, net.

    What one partner's plugin sells no other partner's changes.
    """
    if expected.amount <= 0:
        return ()
    outcomes = hooks_ask(
        tenant_id,
        HOOK,
        {"quote": Quote(kind, expected.amount, expected.currency)},
        limit_s=LIMIT_S,
        only=_may_change(lines),
    )
    found: list[Adjusted] = []
    judged: list[Outcome] = []
    for outcome in outcomes:
        one = _judged(outcome, expected)
        if one is None and (change := outcome.value) is not None:
            share = round12(quotient(change.amount, expected.amount))
            one = _below_floor(tenant_id, lines, card, [*(f.share for f in found), share])
            if one is None:
                reason = change.reason.strip()
                found.append(Adjusted(outcome.plugin, reason, change.amount, share))
        judged.append(outcome if one is None else dataclasses.replace(outcome, failure=one))
    outcomes_keep(judged)
    return tuple(each for each in found if each.share)


def _may_change(lines: Sequence[Counted]) -> Collection[str] | None:
    """The plugins that sell this work, and the platform's own; None: all may."""
    sellers = {line.dimensions["plugin"] for line in lines if "plugin" in line.dimensions}
    if not sellers:
        return None
    ours = Release.objects.filter(partner__isnull=True).values_list("plugin", flat=True)
    return sellers | set(ours)


def _judged(outcome: Outcome, expected: Money) -> Failure | None:
    """Why an answer does not count, where it is none that can be charged."""
    change = outcome.value
    if outcome.failure is not None or change is None:
        return outcome.failure
    reason = change.reason.strip()
    if change.currency != expected.currency:
        wrong = f"it is in {change.currency}, the quote in {expected.currency}"
    elif abs(change.amount) > expected.amount:
        wrong = f"{change.amount} is more than the quote of {plain(expected.amount)}"
    elif not 1 <= len(reason) <= LONGEST_REASON or not reason.isprintable():
        wrong = f"a reason is 1 to {LONGEST_REASON} printable characters"
    else:
        return None
    return Failure("contract", f"{HOOK}: {wrong}")


def _below_floor(
    tenant_id: str, lines: Sequence[Counted], card: RateCard, shares: Sequence[Decimal]
) -> Failure | None:
    """Why the price guard refuses these changes together: never below nothing, or cost."""
    with_all = EXACT.add(ONE, sum(shares, ZERO))
    if with_all >= ONE:
        return None
    if with_all < 0:
        return Failure("refused", "the discounts together are more than the quote")
    discount = EXACT.subtract(ONE, EXACT.multiply(EXACT.subtract(ONE, card.discount), with_all))
    prices = {p.key: p for p in (card.price_of(x.meter, x.dimensions) for x in lines)}
    short = _as_system(
        lambda: quote_shortfalls(tenant_id, card.version_id, list(prices.values()), discount)
    )
    return Failure("refused", f"below the floor: {short[0].arithmetic}") if short else None


def _as_system(read: Callable[[], list[EffectivePrice]]) -> list[EffectivePrice]:
    """What only the system may read, on a connection of its own: no customer sees a cost."""

    def apart() -> list[EffectivePrice]:
        try:
            with system_scope():
                return read()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as own:
        return own.submit(apart).result()
