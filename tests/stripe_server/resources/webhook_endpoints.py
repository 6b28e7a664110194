"""Webhook endpoints: https://docs.stripe.com/api/webhook_endpoints."""

from __future__ import annotations

import secrets

from tests.stripe_server.handling import Call, handles, lists, metadata, retrieves
from tests.stripe_server.store import Object

lists("/v1/webhook_endpoints", "webhook_endpoint")
retrieves("/v1/webhook_endpoints/{webhook_endpoint}", "webhook_endpoint")


@handles("POST", "/v1/webhook_endpoints")
def endpoint_create(call: Call) -> Object:
    """The secret is told now and never again."""
    secret = f"whsec_{secrets.token_hex(16)}"
    made = call.store.add(
        "webhook_endpoint",
        url=call.params["url"],
        enabled_events=list(call.params["enabled_events"]),
        api_version=call.params.get("api_version", call.store.state["api_version"]),
        description=call.params.get("description"),
        metadata=metadata({}, call.params.get("metadata")),
        status="enabled",
        application=None,
        _secret=secret,
        _connect=call.params.get("connect", False),
    )
    return {**made, "secret": secret}


@handles("POST", "/v1/webhook_endpoints/{webhook_endpoint}")
def endpoint_update(call: Call) -> Object:
    found = call.store.get("webhook_endpoint", call.id)
    found.update(call.given("url", "enabled_events", "description"))
    if "disabled" in call.params:
        found["status"] = "disabled" if call.params["disabled"] else "enabled"
    found["metadata"] = metadata(found["metadata"], call.params.get("metadata"))
    return found


@handles("DELETE", "/v1/webhook_endpoints/{webhook_endpoint}")
def endpoint_delete(call: Call) -> Object:
    found = call.store.get("webhook_endpoint", call.id)
    del call.store.objects("webhook_endpoint")[found["id"]]
    return {"id": found["id"], "object": "webhook_endpoint", "deleted": True}
