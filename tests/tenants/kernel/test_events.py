"""Events: each survives its way through the outbox, and each is documented."""

from __future__ import annotations

import dataclasses
import datetime as dt
import importlib
import json
import re
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saas.runtime.layout import ROOT
from tenants.kernel.events import EVENTS, Event, event_from_payload
from tests.tenants.kernel.factories import Moved, Weighed

for _path in sorted(ROOT.glob("tenants/**/events.py")) + sorted(ROOT.glob("workers/**/events.py")):
    importlib.import_module(".".join(_path.relative_to(ROOT).with_suffix("").parts))

OURS = {n: k for n, k in sorted(EVENTS.items()) if not k.__module__.startswith("tests.")}

MOMENTS = st.datetimes(timezones=st.just(dt.UTC))
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    int: st.integers(-(2**53), 2**53),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=6),
    dt.datetime: MOMENTS,
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    if get_origin(hint) is UnionType:
        return st.one_of(*(values_of(arg) for arg in get_args(hint)))
    if get_origin(hint) is tuple:
        return st.lists(values_of(get_args(hint)[0]), max_size=3).map(tuple)
    if hint is NoneType:
        return st.none()
    return SIMPLE[hint]


def events_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{f.name: values_of(hints[f.name]) for f in dataclasses.fields(kind)})


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*OURS.values(), Weighed, Moved]).flatmap(events_of))
def test_every_event_comes_back_equal_through_json(event: Event) -> None:
    payload = json.loads(json.dumps(event.to_payload()))

    assert event_from_payload(event.event_type, payload) == event


@pytest.mark.parametrize("kind", OURS.values(), ids=list(OURS))
def test_every_event_is_a_fact_with_an_aggregate(kind: type[Event]) -> None:
    fields = {f.name for f in dataclasses.fields(kind)}

    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", kind.event_type)
    assert kind.aggregate_field in fields
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_a_name_is_taken_once() -> None:
    with pytest.raises(TypeError, match="already defined"):

        @dataclasses.dataclass(frozen=True)
        class Again(Event, name="test.moved", aggregate="thing_id"):
            thing_id: str


def test_fields_of_a_newer_version_are_left_out() -> None:
    payload = Moved("ten_1", "a", 1).to_payload() | {"colour": "red"}

    assert event_from_payload("test.moved", payload) == Moved("ten_1", "a", 1)


def test_an_unknown_event_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        event_from_payload("nobody.knows", {})


def documented() -> dict[str, tuple[str, list[str]]]:
    """Name → (aggregate, fields) as docs/events.md has it."""
    rows = re.findall(
        r"^\| `([a-z_.]+)` \| `(\w+)` \| (.*?) \| .+ \|$",
        (ROOT / "docs" / "events.md").read_text("utf-8"),
        flags=re.MULTILINE,
    )
    return {name: (aggregate, re.findall(r"`([^`]+)`", fields)) for name, aggregate, fields in rows}


def test_the_documentation_lists_every_event_with_its_fields_and_no_other() -> None:
    expected = {
        name: (
            kind.aggregate_field,
            [
                f"{f.name}: {f.type}".replace(" | None", "?")
                for f in dataclasses.fields(kind)
                if f.name != "tenant_id"
            ],
        )
        for name, kind in OURS.items()
    }
    assert documented() == expected
