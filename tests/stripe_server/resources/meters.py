"""Billing meters and their events. https://docs.stripe.com/billing/subscriptions/usage-based

Events carry at most 15 significant digits, are at most 35 days old and 5 minutes ahead, and an
identifier is remembered for 24 hours.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, lists, page, retrieves
from tests.stripe_server.resources.customers import customer_alive
from tests.stripe_server.store import Object, Store

DIGITS = 15
DAY = 86_400
MOST_AGE, MOST_AHEAD, REMEMBERED = 35 * DAY, 300, DAY

lists("/v1/billing/meters", "billing.meter", "status")
retrieves("/v1/billing/meters/{id}", "billing.meter")


@handles("POST", "/v1/billing/meters")
def meter_create(call: Call) -> Object:
    params = call.params
    if any(call.store.where("billing.meter", event_name=params["event_name"], status="active")):
        raise Refused(
            f"An active meter with the event name `{params['event_name']}` already exists.",
            code="resource_already_exists",
            param="event_name",
        )
    mapping = params.get("customer_mapping") or {}
    return call.store.add(
        "billing.meter",
        display_name=params["display_name"],
        event_name=params["event_name"],
        default_aggregation=dict(params["default_aggregation"]),
        customer_mapping={"type": "by_id", "event_payload_key": "stripe_customer_id", **mapping},
        value_settings={"event_payload_key": "value", **(params.get("value_settings") or {})},
        status="active",
    )


@handles("POST", "/v1/billing/meter_events")
def meter_event_create(call: Call) -> Object:
    params, store, now = call.params, call.store, call.store.now()
    meter = next(
        iter(store.where("billing.meter", event_name=params["event_name"], status="active")), None
    )
    if meter is None:
        raise Refused(
            f"No active meter found for event name `{params['event_name']}`.",
            code="resource_missing",
            param="event_name",
        )
    payload = params["payload"]
    customer = payload.get(meter["customer_mapping"]["event_payload_key"], "")
    customer_alive(call, customer, "payload[stripe_customer_id]")
    value = _value(str(payload.get(meter["value_settings"]["event_payload_key"], "")))
    at = params.get("timestamp", now)
    if at < now - MOST_AGE or at > now + MOST_AHEAD:
        raise Refused(
            "The timestamp must be within the past 35 calendar days or up to 5 minutes in the "
            "future.",
            code="timestamp_too_far_in_past" if at < now else "timestamp_in_future",
            param="timestamp",
        )
    identifier = params.get("identifier")
    if identifier and any(
        now - event["created"] < REMEMBERED
        for event in store.where("billing.meter_event", identifier=identifier)
    ):
        raise Refused(
            f"An event already exists with identifier {identifier}.",
            code="duplicate_meter_event",
            param="identifier",
        )
    made = store.add(
        "billing.meter_event",
        prefix="mtrevt",
        event_name=meter["event_name"],
        identifier=identifier,
        payload=dict(payload),
        timestamp=at,
        _customer=customer,
        _meter=meter["id"],
        _value=str(value),
    )
    if identifier is None:
        made["identifier"] = made["id"]
    return made


@handles("GET", "/v1/billing/meters/{id}/event_summaries")
def meter_summaries(call: Call) -> Object:
    """The sum, or the count, of a customer's events in a time."""
    meter = call.store.get("billing.meter", call.id)
    params = call.params
    total = usage_of(
        call.store, meter, params["customer"], params["start_time"], params["end_time"]
    )
    return page(
        call,
        [
            {
                "id": f"mtrusg_{meter['id']}",
                "object": "billing.meter_event_summary",
                "aggregated_value": float(total),
                "start_time": params["start_time"],
                "end_time": params["end_time"],
                "meter": meter["id"],
                "livemode": False,
            }
        ],
    )


def usage_of(store: Store, meter: Object, customer: str, start: int, end: int) -> Decimal:
    """What a meter has counted for a customer from `start` until before `end`."""
    events = sorted(
        (
            event
            for event in store.where("billing.meter_event", _meter=meter["id"], _customer=customer)
            if start <= event["timestamp"] < end
        ),
        key=lambda event: event["timestamp"],
    )
    values = [Decimal(event["_value"]) for event in events]
    formula = meter["default_aggregation"]["formula"]
    if formula == "count":
        return Decimal(len(values))
    return (values[-1] if values else Decimal(0)) if formula == "last" else sum(values, Decimal(0))


def _value(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Refused(
            f"The meter event value must be a number: {text!r}",
            code="meter_event_invalid_value",
            param="payload[value]",
        ) from None
    if not value.is_finite() or len(value.normalize().as_tuple().digits) > DIGITS:
        raise Refused(
            f"The meter event value has at most {DIGITS} significant digits: {text}",
            code="meter_event_invalid_value",
            param="payload[value]",
        )
    return value
