"""Fetching Stripe's objects, outside of any transaction: with all that is needed to act on them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stripe import InvalidRequestError

from tenants.billing.stripe.client import stripe_client
from tenants.billing.stripe.names import ALL_SUBSCRIPTIONS
from tenants.billing.stripe.objects import Seen
from tenants.kernel.clock import database_now
from tenants.kernel.scope import ScopeError, current_scope, system_scope


@dataclass(frozen=True)
class Kind:
    """Where objects of a kind are, what is fetched with them, and how a list leaves none out."""

    of: Callable[[Any], Any]
    expand: tuple[str, ...] = ()
    every: Mapping[str, Any] = field(default_factory=dict)


KINDS: Mapping[str, Kind] = {
    "customer": Kind(lambda v1: v1.customers),
    "checkout.session": Kind(
        lambda v1: v1.checkout.sessions,
        ("payment_intent.latest_charge.balance_transaction", "setup_intent.payment_method"),
    ),
    "payment_intent": Kind(lambda v1: v1.payment_intents, ("latest_charge.balance_transaction",)),
    "charge": Kind(lambda v1: v1.charges, ("balance_transaction", "payment_intent")),
    "setup_intent": Kind(lambda v1: v1.setup_intents, ("payment_method",)),
    "payment_method": Kind(lambda v1: v1.payment_methods),
    "invoice": Kind(lambda v1: v1.invoices, ("payments.data.payment.payment_intent",)),
    "credit_note": Kind(lambda v1: v1.credit_notes),
    "refund": Kind(lambda v1: v1.refunds, ("balance_transaction", "failure_balance_transaction")),
    "dispute": Kind(lambda v1: v1.disputes),
    "subscription": Kind(lambda v1: v1.subscriptions, every=ALL_SUBSCRIPTIONS),
    "account": Kind(lambda v1: v1.accounts),
    "transfer": Kind(lambda v1: v1.transfers, ("balance_transaction",)),
    "payout": Kind(lambda v1: v1.payouts, ("balance_transaction", "failure_balance_transaction")),
    "balance_transaction": Kind(lambda v1: v1.balance_transactions),
}


def fetch(kind: str, stripe_id: str) -> Seen | None:
    """Return an object as it stands now; None where Stripe has none (any more).

    Raises StripeError where it cannot be reached.
    """
    found = KINDS[kind]
    at = _moment()
    params = {"expand": list(found.expand)} if found.expand else {}
    try:
        answer = found.of(stripe_client().v1).retrieve(stripe_id, params)
    except InvalidRequestError as error:
        if error.code == "resource_missing":
            return None
        raise
    return Seen(answer.to_dict(), at)


def fetch_all(kind: str, **where: Any) -> Iterator[Seen]:
    """Every object of a kind that a list can be narrowed to by `where`, without expansions."""
    at = _moment()
    listed = KINDS[kind].of(stripe_client().v1).list({"limit": 100, **KINDS[kind].every, **where})
    for answer in listed.auto_paging_iter():
        yield Seen(answer.to_dict(), at)


def _moment() -> dt.datetime:
    """The database's time. Raises ScopeError inside a scope: Stripe is never waited for there."""
    if current_scope() is not None:
        raise ScopeError("Stripe is never called inside a transaction")
    with system_scope():
        return database_now()
