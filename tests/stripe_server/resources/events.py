"""Events, kept for 30 days. https://docs.stripe.com/api/events"""

from __future__ import annotations

from tests.stripe_server.handling import Call, handles, listed, retrieves
from tests.stripe_server.store import Object

retrieves("/v1/events/{id}", "event")


@handles("GET", "/v1/events")
def events_list(call: Call) -> Object:
    found = listed(call, "event", "type")
    if types := call.params.get("types"):
        found["data"] = [event for event in found["data"] if event["type"] in types]
    return found
