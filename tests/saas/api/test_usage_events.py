"""Usage events over HTTP: every shape is taken, each key once, and bad input is named."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from tenants.accounts.roles import Role
from tenants.kernel.clock import now
from tenants.kernel.scope import tenant_scope
from tenants.usage.models import UsageEvent, UsageHour, UsageKey
from tests.saas.api.factories import Caller, Reply, tenant_caller, usage_make

pytestmark = pytest.mark.django_db

PATH = "/v1/usage/events"


def event(key: str = "k1", quantity: Any = "1.5", **changes: Any) -> dict[str, Any]:
    return {
        "key": key,
        "meter": "plugin.units",
        "quantity": quantity,
        "dimensions": {"plugin": "ocr", "sku": "page"},
        **changes,
    }


def cloud_event(id_: str = "1", quantity: Any = "2.5", **attributes: Any) -> CloudEvent:
    """Made by the CNCF's own SDK."""
    return CloudEvent(
        {
            "id": id_,
            "source": "https://ocr.example/é workers",
            "type": "plugin.units",
            "time": now(),
            "datacontenttype": "application/json",
            **attributes,
        },
        {"quantity": quantity, "dimensions": {"plugin": "ocr"}},
    )


def sent(caller: Caller, message: HTTPMessage) -> Reply:
    headers = dict(message.headers)
    kind = headers.pop("content-type")
    return caller.send("POST", PATH, raw=message.body, content_type=kind, **headers)


def stored(caller: Caller) -> list[UsageEvent]:
    assert caller.tenant is not None
    with tenant_scope(caller.tenant.id):
        return list(UsageEvent.objects.order_by("id"))


def refused(caller: Caller, body: Any, param: str | None, status: int = 400) -> str:
    """The reason; nothing may have been kept."""
    before = len(stored(caller))
    reply = caller.post(PATH, body)
    assert (reply.status, reply.error["param"]) == (status, param), reply.content
    assert len(stored(caller)) == before
    return str(reply.error["message"])


def test_one_event_is_kept_with_every_digit(api: Caller) -> None:
    at = "2026-11-01T12:00:00.25+02:00"
    raw = json.dumps(event(event_time=at, source="ocr-7")).replace('"1.5"', "0.100000000001")

    reply = api.send("POST", PATH, raw=raw)

    assert reply.json == {
        "object": "usage.ingestion", "received": 1, "accepted": 1, "repeated": 0
    }  # fmt: skip
    (row,) = stored(api)
    assert row.quantity == Decimal("0.100000000001")
    assert row.event_time == dt.datetime.fromisoformat(at)
    assert (row.source, row.key) == ("external:ocr-7", "external:k1")
    assert row.dimensions == {"plugin": "ocr", "sku": "page"}


@pytest.mark.parametrize("wrap", [list, lambda events: {"events": events}])
def test_up_to_a_thousand_come_in_one_request(api: Caller, wrap: Any) -> None:
    events = [event(f"k{n}", n) for n in range(1000)]

    first = api.post(PATH, wrap(events))
    second = api.post(PATH, wrap(events))

    assert first.json["accepted"] == 1000, first.content
    assert (second.json["accepted"], second.json["repeated"]) == (0, 1000)
    assert sum(row.quantity for row in stored(api)) == sum(range(1000))


def test_the_cloudevents_sdk_speaks_structured_and_binary(api: Caller) -> None:
    structured = sent(api, to_structured_event(cloud_event("1")))
    binary = sent(api, to_binary_event(cloud_event("2", 3)))
    same_in_the_other_mode = sent(api, to_binary_event(cloud_event("1")))

    assert structured.json["accepted"] == 1, structured.content
    assert binary.json["accepted"] == 1, binary.content
    assert same_in_the_other_mode.json["repeated"] == 1
    first, second = stored(api)
    assert (first.quantity, second.quantity) == (Decimal("2.5"), 3)
    assert first.source == second.source == "external:https://ocr.example/é workers"


def test_cloudevents_in_a_batch(api: Caller) -> None:
    events = [to_structured_event(cloud_event(str(n), n)).body.decode() for n in range(5)]

    reply = api.send(
        "POST", PATH, raw=f"[{','.join(events)}]",
        content_type="application/cloudevents-batch+json; charset=UTF-8",
    )  # fmt: skip

    assert reply.json["accepted"] == 5, reply.content
    assert [row.quantity for row in stored(api)] == [0, 1, 2, 3, 4]


def test_equal_ids_of_two_sources_are_two_events(api: Caller) -> None:
    for source in ("a", "b"):
        assert sent(api, to_structured_event(cloud_event("1", source=source))).status == 200
    assert len(stored(api)) == 2


@pytest.mark.parametrize("quantity", [-1, "-0.5", "NaN", "Infinity", "1e18", "1e-13", None, True])
def test_a_negative_or_non_finite_quantity(api: Caller, quantity: Any) -> None:
    events = [event("a"), event("b"), event("c", quantity)]
    message = refused(api, {"events": events}, "events.2.quantity")
    assert "quantity" in message or "decimals" in message


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999999999999999999999"])
def test_json_numbers_that_are_none(api: Caller, text: str) -> None:
    reply = api.send("POST", PATH, raw=json.dumps(event()).replace('"1.5"', text))
    assert reply.status == 400, reply.content
    assert stored(api) == []


def test_an_unknown_meter_and_one_that_the_platform_counts(api: Caller) -> None:
    assert "plugin.units" in refused(api, [event(), event("b", meter="x.y")], "events.1.meter")
    assert "itself" in refused(api, event(meter="tokens.input"), "meter")


def test_the_same_key_with_another_payload(api: Caller) -> None:
    assert api.post(PATH, event("k1", 1)).status == 200
    message = refused(api, [event("fresh"), event("k1", 2)], "events.1.key", status=409)
    assert "another payload" in message
    refused(api, [event("x", 1), event("x", 2)], "events.0.key", status=409)


def test_an_event_from_the_future(api: Caller) -> None:
    later = int(now().timestamp()) + 600
    assert "future" in refused(api, [event(event_time=later)], "events.0.event_time")


def test_a_late_event_is_taken_and_one_that_is_too_late_refused(api: Caller) -> None:
    ago = [(now() - dt.timedelta(days=days)).isoformat() for days in (399, 401)]
    assert api.post(PATH, event("late", event_time=ago[0])).status == 200
    (row,) = stored(api)
    assert (row.ingested_at - row.event_time).days == 399
    assert "400 days" in refused(api, event("too late", event_time=ago[1]), "event_time")


@pytest.mark.parametrize("version", ["0.3", "2.0", None, 1.0])
def test_a_wrong_specversion(api: Caller, version: Any) -> None:
    body = json.loads(to_structured_event(cloud_event()).body or b"")
    body["specversion"] = version
    reply = api.send("POST", PATH, [body], content_type="application/cloudevents-batch+json")
    assert (reply.status, reply.error["param"]) == (400, "events.0.specversion")
    assert stored(api) == []


@pytest.mark.parametrize("name", ["id", "source", "type", "data"])
def test_a_missing_attribute(api: Caller, name: str) -> None:
    body = json.loads(to_structured_event(cloud_event()).body or b"")
    del body[name]
    reply = api.send("POST", PATH, body, content_type="application/cloudevents+json")
    assert (reply.status, reply.error["param"]) == (400, name)


def test_a_missing_id_in_binary_mode(api: Caller) -> None:
    message = to_binary_event(cloud_event())
    headers = {n: v for n, v in message.headers.items() if n != "ce-id"}
    reply = sent(api, HTTPMessage(headers, message.body))
    assert (reply.status, reply.error["param"]) == (400, "id")


def test_cloudevents_data_that_is_no_json(api: Caller) -> None:
    body = json.loads(to_structured_event(cloud_event()).body or b"")
    for change in ({"datacontenttype": "text/xml"}, {"data_base64": "e30="}, {"data": "x"}):
        reply = api.send(
            "POST", PATH, {**body, **change}, content_type="application/cloudevents+json"
        )
        assert (reply.status, reply.error["param"]) == (400, "data")


def test_1001_events(api: Caller) -> None:
    assert "1000" in refused(api, [event(str(n)) for n in range(1001)], "events")


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"key": "\xed\xa0\x80"}', b'"text"', b"[1]"]
)
def test_what_is_no_json_or_no_event(api: Caller, raw: bytes) -> None:
    reply = api.send("POST", PATH, raw=raw)
    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error"), reply.content
    assert stored(api) == []


def test_another_media_type(api: Caller) -> None:
    assert api.send("POST", PATH, raw=b"a=1", content_type="text/csv").status == 415


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"tenant_id": "ten_other"}, "events.0.tenant_id"),
        ({"key": "x" * 181}, "events.0.key"),
        ({"key": "a\x00b"}, "events.0.key"),
        ({"source": "\ud800"}, "events.0.source"),
        ({"dimensions": {"plugin": "ocr", "colour": "red"}}, "events.0.dimensions"),
        ({"dimensions": {"sku": "page"}}, "events.0.dimensions"),
        ({"dimensions": {"plugin": 7}}, "events.0.dimensions.plugin"),
        ({"dimensions": []}, "events.0.dimensions"),
        ({"event_time": "2026-11-01"}, "events.0.event_time"),
        ({"event_time": "2026-11-01T12:00:00"}, "events.0.event_time"),
        ({"event_time": 10**30}, "events.0.event_time"),
    ],
)
def test_a_bad_field_is_named_with_its_place(
    api: Caller, change: dict[str, Any], param: str
) -> None:
    refused(api, [event(**change)], param)


def test_another_tenants_key_is_free_and_tells_nothing(api: Caller, rival: Caller) -> None:
    assert rival.post(PATH, event("shared", 5)).json["accepted"] == 1

    mine = api.post(PATH, event("shared", 6))

    assert mine.json["accepted"] == 1
    assert [row.quantity for row in stored(api)] == [6]
    assert [row.quantity for row in stored(rival)] == [5]


def test_no_key_from_outside_can_take_one_of_the_platforms_own(api: Caller) -> None:
    """A customer who guesses a job's usage key must not make the job fail."""
    assert api.post(PATH, event("ftjob-1:0-16")).status == 200
    assert api.tenant is not None
    with tenant_scope(api.tenant.id):
        assert not UsageKey.objects.filter(key="ftjob-1:0-16").exists()


@pytest.mark.parametrize("role", list(Role))
def test_owners_admins_and_developers_may_send(db: None, role: Role) -> None:
    allowed = role in {Role.OWNER, Role.ADMIN, Role.DEVELOPER}
    assert tenant_caller(role=role).post(PATH, event()).status == (200 if allowed else 403)


def test_a_key_limited_to_reading_may_not_send(db: None) -> None:
    reader = tenant_caller(scopes=("usage.read",))
    reply = reader.post(PATH, event())
    assert (reply.status, reply.error["code"]) == (403, "missing_permission")


def test_a_refused_batch_leaves_no_key_and_no_sum(api: Caller) -> None:
    refused(api, [event("a"), event("b", -1)], "events.1.quantity")
    assert api.post(PATH, [event("a"), event("b", 1)]).json["accepted"] == 2
    assert api.tenant is not None
    with tenant_scope(api.tenant.id):
        assert UsageKey.objects.count() == 2
        assert [row.quantity for row in UsageHour.objects.all()] == [Decimal("2.5")]


def test_the_list_is_filtered_by_model_and_api_key(api: Caller) -> None:
    for n, (model, key) in enumerate([("a", "key_1"), ("a", "key_2"), ("b", "key_1")]):
        usage_make(api, n, model=model, base=model, api_key_id=key)

    def listed(query: str) -> list[str]:
        return [row["quantity"] for row in api.get(f"/v1/usage?order=asc{query}").json["data"]]

    assert listed("") == ["0", "1", "2"]
    assert listed("&model=a") == ["0", "1"]
    assert listed("&api_key_id=key_1") == ["0", "2"]
    assert listed("&model=a&api_key_id=key_1") == ["0"]
    assert listed("&model=c") == []
