"""Events: facts in the past tense, as frozen dataclasses in one registry.

    @dataclass(frozen=True)
    class JobSucceeded(Event, name="job.succeeded", aggregate="job_id"):
        job_id: str

`emit` writes the event to the outbox in the transaction that changed the state.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

EVENTS: dict[str, type[Event]] = {}


@dataclass(frozen=True)
class Event:
    """A fact about one tenant (None: about the platform).

    Fields hold JSON's types, Decimal, datetime, or tuples of one of these.
    """

    event_type: ClassVar[str]
    aggregate_field: ClassVar[str]
    tenant_id: str | None

    def __init_subclass__(cls, *, name: str, aggregate: str, **kwargs: Any) -> None:
        """Register `name`; `aggregate` names the field within whose value order is kept."""
        super().__init_subclass__(**kwargs)
        if name in EVENTS:
            raise TypeError(f"event {name!r} is already defined by {EVENTS[name].__qualname__}")
        cls.event_type = name
        cls.aggregate_field = aggregate
        EVENTS[name] = cls

    @property
    def aggregate_id(self) -> str:
        return str(getattr(self, self.aggregate_field))

    def to_payload(self) -> dict[str, Any]:
        return {f.name: _to_json(getattr(self, f.name)) for f in dataclasses.fields(self)}


def event_from_payload(name: str, payload: Mapping[str, Any]) -> Event:
    """Rebuild an event from its outbox row. Raises KeyError for a name no longer registered."""
    kind = EVENTS[name]
    hints = _hints(name)
    known = {f.name for f in dataclasses.fields(kind)}
    return kind(
        **{key: _from_json(value, hints[key]) for key, value in payload.items() if key in known}
    )


@cache
def _hints(name: str) -> dict[str, Any]:
    return get_type_hints(EVENTS[name])


def _to_json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    return value


def _from_json(value: Any, hint: Any) -> Any:
    if value is None:
        return None
    if get_origin(hint) in {Union, UnionType}:
        hint = next(arg for arg in get_args(hint) if arg is not NoneType)
    if hint is Decimal:
        return Decimal(value)
    if hint is dt.datetime:
        return dt.datetime.fromisoformat(value)
    if get_origin(hint) is tuple:
        return tuple(_from_json(item, get_args(hint)[0]) for item in value)
    return value
