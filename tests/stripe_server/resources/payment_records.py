"""Payments that somebody else received. https://docs.stripe.com/api/payment-record"""

from __future__ import annotations

from tests.stripe_server.handling import Call, handles, metadata, retrieves
from tests.stripe_server.store import Object

retrieves("/v1/payment_records/{id}", "payment_record")


@handles("POST", "/v1/payment_records/report_payment")
def payment_report(call: Call) -> Object:
    params = call.params
    call.given("initiated_at", "guaranteed", "customer_details", "description")
    asked = dict(params["amount_requested"])
    is_guaranteed = params.get("outcome") == "guaranteed"
    return call.store.add(
        "payment_record",
        amount_requested=asked,
        amount_guaranteed=asked if is_guaranteed else {**asked, "value": 0},
        payment_method_details=params.get("payment_method_details"),
        processor_details=params.get("processor_details"),
        metadata=metadata({}, params.get("metadata")),
    )
