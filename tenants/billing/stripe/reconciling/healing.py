"""Catching up with objects whose webhooks were lost: list, and fetch what is unsettled."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import structlog

from tenants.billing.stripe.client import stripe_mode
from tenants.billing.stripe.fetching import fetch, fetch_all
from tenants.billing.stripe.models import StripeObject
from tenants.billing.stripe.objects import Seen, object_known
from tenants.billing.stripe.observing import observe
from tenants.billing.stripe.states import FINAL
from tenants.kernel.scope import system_scope

log = structlog.get_logger(__name__)

# in the order in which one leads to another
LISTED = (
    "customer",
    "checkout.session",
    "payment_intent",
    "subscription",
    "invoice",
    "credit_note",
    "refund",
    "dispute",
    "account",
    "transfer",
    "payout",
)


def heal(since: dt.datetime) -> int:
    """Observe every object made since then, or not settled, that stands other than we know.

    Returns how many there were. Outside of any scope.
    """
    count = sum(_look(seen) for kind in LISTED for seen in _made(kind, since))
    return count + sum(_look_again(kind, stripe_id) for kind, stripe_id in _unsettled(since))


def balance_follow(since: dt.datetime) -> int:
    """Book every balance transaction made since then; return how many were looked at."""
    count = 0
    for seen in _made("balance_transaction", since):
        with system_scope():
            observe(seen)
        count += 1
    return count


def _made(kind: str, since: dt.datetime) -> Iterator[Seen]:
    return fetch_all(kind, created={"gte": int(since.timestamp())})


def _look(listed: Seen) -> bool:
    with system_scope():
        known = object_known(listed.kind, listed.id)
    if known is not None and known.state == listed.state and not _may_hide(listed):
        return False
    return _look_again(listed.kind, listed.id)


def _may_hide(listed: Seen) -> bool:
    """Whether its state leaves something untold: an open invoice may be paid in part."""
    return (
        listed.kind == "invoice"
        and bool(listed.data.get("amount_paid"))
        and (listed.state not in FINAL["invoice"])
    )


def _look_again(kind: str, stripe_id: str) -> bool:
    seen = fetch(kind, stripe_id)
    if seen is None:
        return False
    with system_scope():
        before = object_known(kind, stripe_id)
        observe(seen)
        after = object_known(kind, stripe_id)
    return after is not None and (before is None or before.state != after.state)


def _unsettled(since: dt.datetime) -> list[tuple[str, str]]:
    """What was made before `since` and may still change."""
    found: list[tuple[str, str]] = []
    with system_scope():
        for kind in LISTED:
            rows = StripeObject.objects.filter(
                kind=kind, mode=stripe_mode(), created_at__lt=since
            ).exclude(state__in=FINAL.get(kind, ()))
            found += [(kind, stripe_id) for stripe_id in rows.values_list("stripe_id", flat=True)]
    return found
