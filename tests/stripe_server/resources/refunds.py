"""Refunds: https://docs.stripe.com/api/refunds."""

from __future__ import annotations

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, lists, metadata, retrieves
from tests.stripe_server.resources.balance import balance_change
from tests.stripe_server.store import Object, Store

LATE_S = 3600

lists("/v1/refunds", "refund", "charge", "payment_intent")
retrieves("/v1/refunds/{refund}", "refund")


@handles("POST", "/v1/refunds")
def refund_create(call: Call) -> Object:
    charge = _charge(call)
    left = charge["amount"] - charge["amount_refunded"]
    if not charge["captured"]:
        raise Refused(f"Charge {charge['id']} has not been captured: cancel it instead.")
    amount = call.params.get("amount", left)
    if charge["disputed"]:
        raise Refused(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
        )
    if left <= 0:
        raise Refused(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    if not 0 < amount <= left:
        raise Refused(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            param="amount",
        )
    return refund_make(
        call.store, charge, amount,
        given=metadata({}, call.params.get("metadata")), reason=call.params.get("reason"),
    )  # fmt: skip


@handles("POST", "/v1/refunds/{refund}")
def refund_update(call: Call) -> Object:
    found = call.store.get("refund", call.id)
    found["metadata"] = metadata(found["metadata"], call.params.get("metadata"))
    call.store.emit("refund.updated", found)
    return found


def refund_make(
    store: Store, charge: Object, amount: int, *, given: dict[str, str], reason: str | None = None
) -> Object:
    """Two test cards' refunds come late, or are sent back by the bank.

    https://docs.stripe.com/testing#refunds
    """
    outcome = store.get("payment_method", charge["payment_method"])["_outcome"]
    refund = store.add(
        "refund",
        amount=amount,
        currency=charge["currency"],
        charge=charge["id"],
        payment_intent=charge["payment_intent"],
        status="pending" if outcome == "refund_pending" else "succeeded",
        reason=reason,
        failure_reason=None,
        failure_balance_transaction=None,
        metadata=given,
    )
    kind = "refund" if charge["_card"] else "payment_refund"
    change = balance_change(store, kind, -amount, charge["currency"], source=refund["id"])
    refund["balance_transaction"] = change["id"]
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    store.emit("refund.created", refund)
    store.emit("charge.refunded", charge)
    if outcome in {"refund_pending", "refund_fail"}:
        store.later(store.now() + LATE_S, outcome, refund["id"])
    return refund


def refund_settle(store: Store, refund_id: str) -> None:
    """A pending one has arrived."""
    refund = store.get("refund", refund_id)
    if refund["status"] == "pending":
        refund["status"] = "succeeded"
        store.emit("refund.updated", refund)


def refund_fail(store: Store, refund_id: str) -> None:
    """The bank could not take it: the money is back in the balance."""
    refund = store.get("refund", refund_id)
    if refund["status"] == "failed":
        return
    charge = store.get("charge", refund["charge"])
    change = balance_change(
        store, "refund_failure", refund["amount"], refund["currency"], source=refund_id,
        at_once=True,
    )  # fmt: skip
    refund.update(
        status="failed",
        failure_reason="expired_or_canceled_card",
        failure_balance_transaction=change["id"],
    )
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    store.emit("refund.failed", refund)


def _charge(call: Call) -> Object:
    if name := call.params.get("charge"):
        return call.store.get("charge", name, "charge")
    if name := call.params.get("payment_intent"):
        intent = call.store.get("payment_intent", name, "payment_intent")
        if intent["status"] != "succeeded":
            raise Refused(
                "This PaymentIntent does not have a successful charge to refund.",
                param="payment_intent",
            )
        return call.store.get("charge", intent["latest_charge"])
    raise Refused("One of the following params should be provided: payment_intent, charge.")
