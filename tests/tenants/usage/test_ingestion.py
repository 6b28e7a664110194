"""What an event may say, and when two are the same."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.kernel.errors import Conflict, InvalidInput
from tenants.usage.ingestion import NewUsage, usage_parameters
from tests.tenants.usage.factories import NOON, usage


def event(**changes: Any) -> NewUsage:
    fields: dict[str, Any] = {
        "meter": "storage.gb_hours",
        "quantity": Decimal("1.5"),
        "event_time": NOON,
        "source": "assets",
        "key": "k",
    }
    return NewUsage(**fields | changes)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"quantity": Decimal(-1)}, "quantity"),
        ({"quantity": Decimal("NaN")}, "quantity"),
        ({"quantity": Decimal("Infinity")}, "quantity"),
        ({"quantity": Decimal("sNaN")}, "quantity"),
        ({"quantity": Decimal(10) ** 18}, "quantity"),
        ({"quantity": Decimal("1e-13")}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"meter": "unheard.of"}, "meter"),
        ({"key": ""}, "key"),
        ({"key": "x" * 201}, "key"),
        ({"key": "a\x00b"}, "key"),
        ({"source": ""}, "source"),
        ({"event_time": NOON.replace(tzinfo=None)}, "event_time"),
        ({"event_time": dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)}, "event_time"),
        ({"dimensions": {"colour": "red"}}, "dimensions"),
        ({"meter": "tokens.input", "quantity": Decimal(1)}, "dimensions"),
    ],
)
def test_what_no_meter_can_count_is_refused_by_the_field(
    changes: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        event(**changes)
    assert refused.value.param == param


def test_tokens_are_counted_in_whole_units() -> None:
    with pytest.raises(InvalidInput, match="whole units"):
        usage("k", "1.5")


def test_a_sender_whose_clock_runs_a_little_ahead_is_heard() -> None:
    event(event_time=dt.datetime.now(dt.UTC) + dt.timedelta(minutes=4))


@given(st.decimals(min_value=0, max_value=10**9, places=6))
def test_equal_numbers_are_equal_payloads_however_they_are_written(quantity: Decimal) -> None:
    written = [quantity, quantity.normalize(), quantity.quantize(Decimal("1e-12"))]
    assert len({event(quantity=form).payload_hash for form in written}) == 1


def test_the_payload_is_all_but_the_time_and_the_key() -> None:
    one = event()
    later = event(event_time=NOON + dt.timedelta(days=1))
    assert later.payload_hash == one.payload_hash
    assert event(key="other").payload_hash == one.payload_hash
    assert event(quantity=Decimal("1.6")).payload_hash != one.payload_hash
    assert event(source="other").payload_hash != one.payload_hash
    assert event(meter="slot.seconds").payload_hash != one.payload_hash
    by_model = [usage("k", model=name).payload_hash for name in ("a", "b")]
    assert by_model[0] != by_model[1]


def test_the_order_of_dimensions_is_no_difference() -> None:
    forward = usage("k", endpoint="completions", api_key_id="key_1")
    backward = usage("k", api_key_id="key_1", endpoint="completions")
    assert forward.payload_hash == backward.payload_hash


def test_an_event_given_twice_is_taken_once() -> None:
    given = usage_parameters([("t1", usage("k")), ("t1", usage("k")), ("t2", usage("k"))])
    assert given["count"] == 2
    columns = {name: text.split("\x1f") for name, text in given.items() if name != "count"}
    assert columns["tenant_id"] == ["t1", "t2"]
    assert columns["key"] == ["k", "k"]
    assert {len(column) for column in columns.values()} == {2}


@given(
    quantity=st.decimals(min_value=0, max_value=10**6, places=3),
    values=st.dictionaries(
        st.sampled_from(["api_key_id", "user_id", "request_id"]),
        st.text(min_size=1, max_size=20).filter(str.isprintable),
    ),
)
def test_the_payload_hash_is_that_of_the_canonical_json(
    quantity: Decimal, values: dict[str, str]
) -> None:
    """Keys are for ever: what was hashed by an earlier release must hash alike."""
    made = usage("k", f"{quantity.to_integral_value()}", **values)
    payload = [made.meter, f"{made.quantity.normalize():f}", made.source, dict(made.dimensions)]
    expected = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
    assert made.payload_hash == expected


def test_two_long_quantities_are_two_payloads() -> None:
    """30 digits: more than the default decimal context keeps."""
    first, second = (Decimal(f"123456789012345678.12345678901{n}") for n in (1, 2))
    assert event(quantity=first).payload_hash != event(quantity=second).payload_hash


def test_one_key_with_two_payloads_in_a_batch_is_refused_by_name() -> None:
    with pytest.raises(Conflict, match="'k'"):
        usage_parameters([("t1", usage("k", 1)), ("t1", usage("k", 2))])
