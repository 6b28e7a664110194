"""Events, kept for 30 days. https://docs.stripe.com/api/events"""

from __future__ import annotations

from tests.stripe_server.handling import Call, handles, listed, retrieves
from tests.stripe_server.store import Object

retrieves("/v1/events/{id}", "event")


@handles("GET", "/v1/events")
def events_list(call: Call) -> Object:
    types = call.params.get("types")
    return listed(call, "event", "type", also=lambda event: not types or event["type"] in types)
