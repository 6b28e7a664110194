"""Charges: one try at taking a payment. https://docs.stripe.com/api/charges"""

from __future__ import annotations

from typing import Any

from tests.stripe_server.handling import Call, handles, lists, metadata, retrieves
from tests.stripe_server.resources.balance import balance_change, fee_of
from tests.stripe_server.store import Object, Store

lists("/v1/charges", "charge", "customer", "payment_intent", "transfer_group")
retrieves("/v1/charges/{charge}", "charge")


@handles("POST", "/v1/charges/{charge}")
def charge_update(call: Call) -> Object:
    charge = call.store.get("charge", call.id)
    charge.update(call.given("description", "receipt_email", "transfer_group"))
    charge["metadata"] = metadata(charge["metadata"], call.params.get("metadata"))
    call.store.emit("charge.updated", charge)
    return charge


def charge_make(store: Store, intent: Object, status: str, **fields: Any) -> Object:
    method = store.get("payment_method", intent["payment_method"])
    kind = method["type"]
    is_good = status == "succeeded"
    charge = store.add(
        "charge",
        amount=intent["amount"],
        amount_captured=0,
        amount_refunded=0,
        balance_transaction=None,
        billing_details=method["billing_details"],
        captured=False,
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent.get("description"),
        disputed=False,
        failure_balance_transaction=None,
        metadata=dict(intent["metadata"]),
        outcome={"network_status": "approved_by_network" if is_good else "declined_by_network",
                 "type": "authorized" if is_good else "issuer_declined"},
        paid=is_good,
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details={"type": kind, kind: method[kind]},
        refunded=False,
        status=status,
        transfer=None,
        transfer_group=intent["transfer_group"],
        **{"failure_code": None, "failure_message": None, **fields},
        _card=kind == "card",
    )  # fmt: skip
    charge["receipt_url"] = store.page("receipts", charge["id"]) if is_good else None
    intent["latest_charge"] = charge["id"]
    return charge


def charge_capture(store: Store, charge: Object, amount: int) -> None:
    """The money is on its way to the balance, less the fee."""
    outcome = store.get("payment_method", charge["payment_method"])["_outcome"]
    change = balance_change(
        store,
        "charge" if charge["_card"] else "payment",
        amount,
        charge["currency"],
        source=charge["id"],
        fee=fee_of(store, amount, charge["currency"]),
        at_once=outcome == "bypass_pending",
    )
    charge.update(
        captured=True,
        amount_captured=amount,
        amount_refunded=charge["amount"] - amount,  # the rest of an authorisation is let go
        balance_transaction=change["id"],
    )


def charge_fail_late(store: Store, charge: Object) -> None:
    """A bank debit that had succeeded is returned: the money leaves the balance again.

    https://docs.stripe.com/payments/ach-direct-debit
    """
    change = balance_change(
        store, "payment_reversal", -charge["amount"], charge["currency"], source=charge["id"]
    )
    charge.update(
        status="failed",
        failure_code="charge_exceeds_source_limit",
        paid=False,
        failure_balance_transaction=change["id"],
    )
    intent = store.get("payment_intent", charge["payment_intent"])
    intent["status"] = "requires_payment_method"
    store.emit("charge.failed", charge)
    store.emit("payment_intent.payment_failed", intent)
