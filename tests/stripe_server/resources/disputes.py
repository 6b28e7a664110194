"""Disputes: the bank takes the money while it decides. https://docs.stripe.com/api/disputes"""

from __future__ import annotations

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, lists, metadata, retrieves
from tests.stripe_server.resources.balance import balance_change
from tests.stripe_server.store import Object, Store

FEE = 1500
DAYS = 7 * 86_400

lists("/v1/disputes", "dispute", "charge", "payment_intent")
retrieves("/v1/disputes/{dispute}", "dispute")


@handles("POST", "/v1/disputes/{dispute}")
def dispute_update(call: Call) -> Object:
    """The test evidence decides. https://docs.stripe.com/testing#evidence"""
    dispute = call.store.get("dispute", call.id)
    if dispute["status"] in {"won", "lost"}:
        raise Refused("This dispute is already closed.", code="dispute_closed")
    dispute["metadata"] = metadata(dispute["metadata"], call.params.get("metadata"))
    evidence = call.params.get("evidence") or {}
    dispute["evidence"].update(evidence)
    said = str(evidence.get("uncategorized_text", ""))
    if said == "winning_evidence":
        dispute_close(call.store, dispute, won=True)
    elif said == "losing_evidence":
        dispute_close(call.store, dispute, won=False)
    elif call.params.get("submit", True) and evidence:
        dispute["status"] = "under_review"
        call.store.emit("charge.dispute.updated", dispute)
    return dispute


@handles("POST", "/v1/disputes/{dispute}/close")
def dispute_accept(call: Call) -> Object:
    dispute = call.store.get("dispute", call.id)
    dispute_close(call.store, dispute, won=False)
    return dispute


def dispute_open(store: Store, charge: Object, amount: int | None = None) -> Object:
    """Money and a fee leave the balance at once."""
    amount = charge["amount"] if amount is None else amount
    dispute = store.add(
        "dispute",
        amount=amount,
        currency=charge["currency"],
        charge=charge["id"],
        payment_intent=charge["payment_intent"],
        status="needs_response",
        reason="fraudulent",
        is_charge_refundable=False,
        evidence={},
        evidence_details={"due_by": store.now() + DAYS, "has_evidence": False},
        balance_transactions=[],
        metadata={},
    )
    change = balance_change(
        store, "adjustment", -amount, charge["currency"], source=dispute["id"], fee=FEE
    )
    dispute["balance_transactions"].append(change)
    charge["disputed"] = True
    store.emit("charge.dispute.created", dispute)
    store.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def dispute_close(store: Store, dispute: Object, *, won: bool) -> None:
    """Won, the money comes back; the fee does not."""
    if dispute["status"] in {"won", "lost"}:
        raise Refused("This dispute is already closed.", code="dispute_closed")
    dispute["status"] = "won" if won else "lost"
    store.emit("charge.dispute.closed", dispute)
    if won:
        change = balance_change(
            store, "adjustment", dispute["amount"], dispute["currency"], source=dispute["id"],
            at_once=True, category="dispute_reversal",
        )  # fmt: skip
        dispute["balance_transactions"].append(change)
        store.get("charge", dispute["charge"])["disputed"] = False
        store.emit("charge.dispute.funds_reinstated", dispute)
