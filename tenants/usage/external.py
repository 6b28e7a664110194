"""Usage events from outside: JSON of our own shape, or CloudEvents, made into checked events. Pure.

Keys and sources from outside are kept apart from the platform's own by a prefix: nobody can take a
key that a job or a request will use, or pass for one of them.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tenants.kernel.errors import InvalidInput
from tenants.usage.ingestion import NewUsage
from tenants.usage.meters import METERS, meter_named

MAX_EVENTS = 1000
OLDEST = dt.timedelta(days=400)
SOURCE = "external"
MAX_EXTERNAL = 180  # characters of a key or a source, before our prefix

_FIELDS = frozenset({"key", "meter", "quantity", "event_time", "source", "dimensions"})
_DATA = frozenset({"quantity", "dimensions"})
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
_LAST_SECOND = 253402300799  # of the year 9999
_JSON = re.compile(r"application/([\w.-]+\+)?json(\s*;.*)?", re.ASCII | re.IGNORECASE)

Json = Mapping[str, Any]


def external_events(given: Sequence[Any], build: Callable[[Json], NewUsage]) -> list[NewUsage]:
    """`build` every event. Raises InvalidInput that names the index, the field and the reason."""
    if len(given) > MAX_EVENTS:
        raise InvalidInput(
            f"at most {MAX_EVENTS} events at once, not {len(given)}; send several requests",
            param="events",
            code="too_many_events",
        )
    made = []
    for index, item in enumerate(given):
        try:
            made.append(build(item))
        except InvalidInput as error:
            raise at_index(error, index) from error
    return made


def at_index(error: InvalidInput, index: int) -> InvalidInput:
    """The same error, its `param` and message led by the event's place in the request."""
    where = f"events.{index}.{error.param}" if error.param else f"events.{index}"
    return InvalidInput(f"{where}: {error.message}", param=where, code=error.code)


def plain_event(given: Json) -> NewUsage:
    """An event in our own shape: key, meter, quantity, event_time, source, dimensions."""
    _check_object(given, _FIELDS, "")
    _check_length(given.get("key"), "key")
    source = given.get("source")
    if source is not None:
        _check_length(source, "source")
    return _new_usage(
        meter=given.get("meter"),
        data=given,
        event_time=given.get("event_time"),
        source=SOURCE if source is None else f"{SOURCE}:{source}",
        key=f"{SOURCE}:{given['key']}",
    )


def cloud_event(given: Json) -> NewUsage:
    """A CloudEvent 1.0: `type` names the meter, `data` holds quantity and dimensions.

    Its key is its `source` and `id` together, as CloudEvents wants it.
    """
    if not isinstance(given, Mapping):
        raise InvalidInput(f"an event is a JSON object, not {_kind(given)}")
    if given.get("specversion") != "1.0":
        raise InvalidInput(
            f'specversion is "1.0", not {_shown(given.get("specversion"))}', param="specversion"
        )
    for name in ("id", "source"):
        _check_length(given.get(name), name)
    kind = given.get("datacontenttype")
    if "data_base64" in given or (kind is not None and not _JSON.fullmatch(str(kind))):
        raise InvalidInput("send the data as JSON, in `data`", param="data")
    data = given.get("data")
    if not isinstance(data, Mapping):
        raise InvalidInput("data is an object that holds quantity and dimensions", param="data")
    _check_object(data, _DATA, "data.")
    together = f"{given['source']}\n{given['id']}".encode(errors="surrogatepass")
    try:
        return _new_usage(
            meter=given.get("type"),
            data=data,
            event_time=given.get("time"),
            source=f"{SOURCE}:{given['source']}",
            key=f"cloudevent:{hashlib.sha256(together).hexdigest()}",
        )
    except InvalidInput as error:
        error.param = _IN_CLOUD_EVENT.get(error.param or "", error.param)
        raise


_IN_CLOUD_EVENT = {
    "meter": "type",
    "event_time": "time",
    "quantity": "data.quantity",
    "dimensions": "data.dimensions",
}


def _new_usage(*, meter: Any, data: Json, event_time: Any, source: str, key: str) -> NewUsage:
    if not isinstance(meter, str):
        raise InvalidInput(f"name the meter, one of {_external_meters()}", param="meter")
    if not meter_named(meter).external:
        raise InvalidInput(
            f"{meter} is counted by the platform itself; from outside come {_external_meters()}",
            param="meter",
            code="meter_not_external",
        )
    dimensions = data.get("dimensions", {})
    if not isinstance(dimensions, Mapping):
        raise InvalidInput(
            f"dimensions is a JSON object, not {_kind(dimensions)}", param="dimensions"
        )
    return NewUsage(meter, _quantity(data), _moment(event_time), source, key, dimensions)


def _quantity(data: Json) -> Decimal:
    """From a JSON number, or a text that keeps all its digits."""
    given = data.get("quantity")
    if isinstance(given, Decimal):
        return given
    if isinstance(given, int) and not isinstance(given, bool):
        return Decimal(given)
    if isinstance(given, str) and _NUMBER.fullmatch(given):
        return Decimal(given)
    raise InvalidInput(f"a quantity is a decimal number, not {_shown(given)}", param="quantity")


def _moment(given: Any) -> dt.datetime:
    """From RFC 3339, or Unix seconds; now, where none is given. Raises InvalidInput."""
    now = dt.datetime.now(dt.UTC)
    if given is None:
        return now
    found = _parsed(given)
    if found is None:
        raise InvalidInput(
            "a time is RFC 3339 with its zone, 2026-03-10T12:00:00Z, or Unix seconds, not "
            f"{_shown(given)}",
            param="event_time",
        )
    if found < now - OLDEST:
        raise InvalidInput(
            f"{_shown(given)} is more than {OLDEST.days} days ago: its books are closed",
            param="event_time",
            code="event_too_old",
        )
    return found


def _parsed(given: Any) -> dt.datetime | None:
    if isinstance(given, str) and len(given) <= 40:
        try:
            found = dt.datetime.fromisoformat(given)
            return found.astimezone(dt.UTC) if "T" in given and found.tzinfo else None
        except (ValueError, OverflowError):
            return None
    is_number = isinstance(given, int | Decimal) and not isinstance(given, bool)
    if is_number and 0 <= given <= _LAST_SECOND:
        return dt.datetime.fromtimestamp(float(given), dt.UTC)
    return None


def _check_object(given: Any, known: frozenset[str], where: str) -> None:
    if not isinstance(given, Mapping):
        raise InvalidInput(f"an event is a JSON object, not {_kind(given)}")
    if not given.keys() <= known:
        unknown = min(given.keys() - known)
        raise InvalidInput(
            f"no such field: {_shown(unknown)}; known are {', '.join(sorted(known))}",
            param=f"{where}{unknown}" if unknown.isprintable() else None,
        )


def _check_length(given: Any, name: str) -> None:
    if not isinstance(given, str) or not 1 <= len(given) <= MAX_EXTERNAL or not given.isprintable():
        raise InvalidInput(f"{name} is 1 to {MAX_EXTERNAL} printable characters", param=name)


def _external_meters() -> str:
    return ", ".join(name for name, meter in METERS.items() if meter.external)


def _kind(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def _shown(value: Any) -> str:
    return repr(str(value))[:60] if value is not None else "missing"
