"""Test clocks, and what is due when time passes. https://docs.stripe.com/billing/testing/test-clocks"""

from __future__ import annotations

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, lists, retrieves
from tests.stripe_server.store import Object

lists("/v1/test_helpers/test_clocks", "test_helpers.test_clock")
retrieves("/v1/test_helpers/test_clocks/{test_clock}", "test_helpers.test_clock")


@handles("POST", "/v1/test_helpers/test_clocks")
def clock_create(call: Call) -> Object:
    return call.store.add(
        "test_helpers.test_clock",
        frozen_time=call.params["frozen_time"],
        name=call.params.get("name"),
        status="ready",
        deletes_after=call.store.now() + 30 * 86_400,
    )


@handles("POST", "/v1/test_helpers/test_clocks/{test_clock}/advance")
def clock_advance(call: Call) -> Object:
    """Everything that is due until then happens in its order, each at its own time."""
    from tests.stripe_server.due import run_due

    clock = call.store.get("test_helpers.test_clock", call.id)
    until = call.params["frozen_time"]
    if until <= clock["frozen_time"]:
        raise Refused("A test clock only goes forward.", param="frozen_time")
    run_due(call.store, until, clock["id"])
    call.store.emit("test_helpers.test_clock.ready", clock)
    return clock


@handles("DELETE", "/v1/test_helpers/test_clocks/{test_clock}")
def clock_delete(call: Call) -> Object:
    """Its customers go with it."""
    clock = call.store.get("test_helpers.test_clock", call.id)
    for customer in call.store.where("customer", test_clock=clock["id"]):
        customer["_deleted"] = True
    del call.store.objects("test_helpers.test_clock")[clock["id"]]
    return {"id": clock["id"], "object": clock["object"], "deleted": True}
