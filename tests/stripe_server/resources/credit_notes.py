"""Credit notes: what is not owed after all, or goes back. https://docs.stripe.com/api/credit_notes"""

from __future__ import annotations

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, lists, metadata, retrieves
from tests.stripe_server.resources.invoices import invoice_paid
from tests.stripe_server.store import Object

lists("/v1/credit_notes", "credit_note", "customer", "invoice")
retrieves("/v1/credit_notes/{id}", "credit_note")


@handles("POST", "/v1/credit_notes")
def credit_note_create(call: Call) -> Object:
    """On an open invoice it lowers what is owed; on a paid one, its parts say where money goes."""
    params, store = call.params, call.store
    call.given("email_type")  # no mail leaves here
    invoice = store.get("invoice", params["invoice"], "invoice")
    amount = params.get("amount", 0)
    if invoice["status"] not in {"open", "paid"}:
        raise Refused(f"A credit note needs an open or paid invoice; this is {invoice['status']}.")
    if amount <= 0:
        raise Refused("You must specify an amount above zero.", param="amount")
    before = min(amount, invoice["amount_remaining"])
    after = amount - before
    refunded = [(row["refund"], row.get("amount_refunded", 0)) for row in params.get("refunds", [])]
    for name, _ in refunded:
        store.get("refund", name, "refunds[0][refund]")
    out_of_band = params.get("out_of_band_amount", 0)
    to_balance = params.get("credit_amount", 0)
    parts = sum(part for _, part in refunded) + out_of_band + to_balance
    if parts != after:
        raise Refused(
            "The sum of credit amount, refund amount and out of band amount "
            f"({parts}) must equal the post payment credit note amount ({after})."
        )
    if amount > invoice["total"] - _credited(call, invoice):
        raise Refused("The credit note is above what is left of the invoice.", param="amount")
    made = store.add(
        "credit_note",
        invoice=invoice["id"],
        customer=invoice["customer"],
        currency=invoice["currency"],
        amount=amount,
        total=amount,
        pre_payment_amount=before,
        post_payment_amount=after,
        memo=params.get("memo"),
        reason=params.get("reason"),
        number=f"{invoice['number']}-CN-{store.number():02d}",
        out_of_band_amount=out_of_band,
        refunds=[{"refund": name, "amount_refunded": part} for name, part in refunded],
        status="issued",
        type="pre_payment" if before else "post_payment",
        metadata=metadata({}, params.get("metadata")),
    )
    invoice["pre_payment_credit_notes_amount"] += before
    invoice["post_payment_credit_notes_amount"] += after
    invoice["amount_remaining"] -= before
    invoice["amount_due"] -= before
    store.emit("credit_note.created", made)
    if invoice["status"] == "open" and invoice["amount_remaining"] == 0:
        invoice_paid(store, invoice)
    return made


@handles("POST", "/v1/credit_notes/{id}/void")
def credit_note_void(call: Call) -> Object:
    note = call.store.get("credit_note", call.id)
    if note["pre_payment_amount"] == 0:
        raise Refused("Only credit notes on open invoices can be voided.")
    invoice = call.store.get("invoice", note["invoice"])
    note["status"] = "void"
    invoice["amount_remaining"] += note["pre_payment_amount"]
    invoice["amount_due"] += note["pre_payment_amount"]
    call.store.emit("credit_note.voided", note)
    return note


def _credited(call: Call, invoice: Object) -> int:
    notes = call.store.where("credit_note", invoice=invoice["id"], status="issued")
    return sum(note["amount"] for note in notes)
