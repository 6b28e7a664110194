"""Reconciliation, daily and on demand: look at everything, book what is missing, compare."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from tenants.billing.stripe.findings import finding_open, finding_settled
from tenants.billing.stripe.models import StripeFinding
from tenants.billing.stripe.reconciling.comparing import (
    PATIENCE,
    Difference,
    balances_compared,
    clearing_compared,
    invoices_compared,
    payments_compared,
    waiting_compared,
)
from tenants.billing.stripe.reconciling.healing import balance_follow, heal
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope

WINDOW = dt.timedelta(days=35)  # what is older and settled is not looked at again
LOOKS = 3  # money moves while we look: only what differs each time does differ
KINDS = (
    "balance_differs",
    "clearing_differs",
    "payment_unknown",
    "payment_amount",
    "payment_missing",
    "invoice_state",
    "call_stuck",
    "event_stuck",
    "refund_stuck",
)


@dataclass(frozen=True)
class Reconciled:
    """How many objects were caught up with and balance transactions looked at; what differs."""

    healed: int
    booked: int
    differences: tuple[Difference, ...]


def stripe_reconcile(*, since: dt.datetime | None = None) -> Reconciled:
    """Reconcile what was made since then (default: `WINDOW` ago). Outside of any scope.

    Findings of before that are found no more are closed. Raises StripeOff, StripeError where
    Stripe cannot be reached: then nothing is said.
    """
    at = now()
    began = since or at - WINDOW
    healed, booked = heal(began), balance_follow(began)
    found = _compared(began)
    for _ in range(LOOKS - 1):
        if not found:
            break
        recent = max(began, at - PATIENCE)
        healed, booked = healed + heal(recent), booked + balance_follow(recent)
        before = {_name(difference) for difference in found}
        found = [difference for difference in _compared(began) if _name(difference) in before]
    _keep(found)
    return Reconciled(healed, booked, tuple(found))


def _compared(began: dt.datetime) -> list[Difference]:
    return [
        *balances_compared(),
        *clearing_compared(),
        *payments_compared(began),
        *invoices_compared(),
        *waiting_compared(),
    ]


def _name(difference: Difference) -> tuple[str, str]:
    return difference.kind, difference.subject


def _keep(found: Iterable[Difference]) -> None:
    with system_scope():
        seen: set[tuple[str, str]] = set()
        for difference in found:
            seen.add(_name(difference))
            finding_open(
                kind=difference.kind,
                subject=difference.subject,
                action=difference.action,
                evidence=difference.evidence,
                tenant_id=difference.tenant_id,
            )
        before = StripeFinding.objects.filter(kind__in=KINDS, state=StripeFinding.State.OPEN)
        for kind, subject in list(before.values_list("kind", "subject")):
            if (kind, subject) not in seen:
                finding_settled(kind=kind, subject=subject)
