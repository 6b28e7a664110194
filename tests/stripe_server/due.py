"""What happens by itself when time passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.stripe_server.resources.balance import balances_mature, payout_arrive
from tests.stripe_server.resources.checkout import session_expire
from tests.stripe_server.resources.invoices import invoice_finalize
from tests.stripe_server.resources.payments import intent_fail, intent_succeed
from tests.stripe_server.resources.refunds import refund_fail, refund_settle
from tests.stripe_server.resources.subscriptions import (
    subscription_collect,
    subscription_expire,
    subscription_renew,
    subscription_retry,
)
from tests.stripe_server.store import Store


def _bank_success(store: Store, intent_id: str) -> None:
    intent = store.get("payment_intent", intent_id)
    if intent["status"] == "processing":
        intent_succeed(store, intent)


def _bank_failure(store: Store, intent_id: str) -> None:
    intent = store.get("payment_intent", intent_id)
    if intent["status"] == "processing":
        intent_fail(store, intent, "insufficient_funds")


def _finalize(store: Store, invoice_id: str) -> None:
    invoice = store.objects("invoice").get(invoice_id)
    if invoice is not None and invoice["status"] == "draft" and invoice["auto_advance"]:
        invoice_finalize(store, invoice)


TASKS: Mapping[str, Callable[[Store, str], None]] = {
    "bank_success": _bank_success,
    "bank_failure": _bank_failure,
    "invoice_finalize": _finalize,
    "payout_arrive": payout_arrive,
    "refund_fail": refund_fail,
    "refund_pending": refund_settle,
    "session_expire": session_expire,
    "subscription_collect": subscription_collect,
    "subscription_expire": subscription_expire,
    "subscription_renew": subscription_renew,
    "subscription_retry": subscription_retry,
}


def run_due(store: Store, until: int, clock: str | None = None) -> None:
    """Do what is due by a clock (None: the server's own), the earliest first."""
    due = store.state["due"]
    while ready := [task for task in due if task["clock"] == clock and task["at"] <= until]:
        task = min(ready, key=lambda one: one["at"])
        due.remove(task)
        if clock is not None:
            store.get("test_helpers.test_clock", clock)["frozen_time"] = max(
                task["at"], store.now(clock)
            )
        TASKS[task["task"]](store, task["id"])
    if clock is not None:
        store.get("test_helpers.test_clock", clock)["frozen_time"] = until
    else:
        balances_mature(store)
