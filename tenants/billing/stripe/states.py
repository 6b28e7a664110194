"""How Stripe's objects stand, in one word for each: what observers keep and lists are compared by.

Pure. An object whose word is final does not change any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Data = Mapping[str, Any]


def _status(data: Data) -> str:
    return str(data.get("status") or "")


def _customer(data: Data) -> str:
    return "deleted" if data.get("deleted") else "active"


def _session(data: Data) -> str:
    """A complete session may still wait for its money."""
    status = _status(data)
    return "paid" if status == "complete" and data.get("payment_status") == "paid" else status


def _account(data: Data) -> str:
    transfers = (data.get("capabilities") or {}).get("transfers")
    return "active" if transfers == "active" else "restricted"


def _transfer(data: Data) -> str:
    """How much of it was taken back is part of how it stands."""
    back = data.get("amount_reversed") or 0
    if data.get("reversed"):
        return "reversed"
    return f"sent, {back} back" if back else "sent"


_STATES: Mapping[str, Callable[[Data], str]] = {
    "customer": _customer,
    "checkout.session": _session,
    "account": _account,
    "transfer": _transfer,
}

# kind → words after which nothing changes
FINAL: Mapping[str, frozenset[str]] = {
    "customer": frozenset({"deleted"}),
    "checkout.session": frozenset({"paid", "expired"}),
    "payment_intent": frozenset({"succeeded", "canceled"}),
    "invoice": frozenset({"paid", "void"}),
    "credit_note": frozenset({"void"}),
    "refund": frozenset({"succeeded", "failed", "canceled"}),
    "dispute": frozenset({"won", "lost", "warning_closed", "prevented"}),
    "subscription": frozenset({"canceled", "incomplete_expired"}),
    "transfer": frozenset({"reversed"}),
    "payout": frozenset({"paid", "failed", "canceled"}),
}


def state_of(kind: str, data: Data) -> str:
    return _STATES.get(kind, _status)(data)
