"""Usage events on their way into the database: checks, payload hash, and the two statements. Pure.

Services run the statements through Django; the gateway, which has no ORM, through psycopg.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from functools import cached_property
from typing import Any

from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.ids import new_ids
from tenants.usage.meters import METERS, Meter, meter_named

MAX_QUANTITY = Decimal(10) ** 18
MAX_KEY = 200
MAX_SOURCE = 220
MAX_DIMENSION = 200
CLOCK_TOLERANCE = dt.timedelta(minutes=5)  # how far a sender's clock may run ahead of ours
_PICO = Decimal("1e-12")
_WIDE = Context(prec=40)  # holds every digit of a quantity: 18 before the point, 12 after it
_quoted = json.encoder.encode_basestring_ascii

# Columns travel as one text each, joined by a character that no printable text holds: that costs a
# tenth of arrays. ON CONFLICT waits for a concurrent writer of the same key; sorted keys keep two
# writers from waiting for each other. Only keys that are new bring their event.
_SEPARATOR = "\x1f"
INSERT = """
    WITH incoming AS MATERIALIZED (
        SELECT * FROM unnest(
            string_to_array(%(tenant_id)s, chr(31)), string_to_array(%(key)s, chr(31)),
            string_to_array(%(payload_hash)s, chr(31)), string_to_array(%(id)s, chr(31)),
            string_to_array(%(meter)s, chr(31)), string_to_array(%(quantity)s, chr(31)),
            string_to_array(%(event_time)s, chr(31)), string_to_array(%(source)s, chr(31)),
            string_to_array(%(dimensions)s, chr(31))
        ) AS e(tenant_id, key, payload_hash, id, meter, quantity, event_time, source, dimensions)
    ), fresh AS (
        INSERT INTO usage_key (tenant_id, key, payload_hash)
        SELECT tenant_id, key, payload_hash FROM incoming ORDER BY tenant_id, key
        ON CONFLICT (tenant_id, key) DO NOTHING
        RETURNING tenant_id, key
    )
    INSERT INTO usage_event
        (id, tenant_id, meter, quantity, event_time, source, key, dimensions)
    SELECT id, tenant_id, meter, quantity::numeric, event_time::timestamptz, source, key,
        dimensions::jsonb
    FROM incoming JOIN fresh USING (tenant_id, key)
"""

# A statement of its own, after INSERT: only its fresh snapshot sees what a concurrent writer
# committed meanwhile. Needed where INSERT took fewer rows than the parameters' `count`.
DIFFERING = """
    SELECT key FROM usage_key JOIN unnest(
        string_to_array(%(tenant_id)s, chr(31)), string_to_array(%(key)s, chr(31)),
        string_to_array(%(payload_hash)s, chr(31))
    ) AS e(tenant_id, key, payload_hash) USING (tenant_id, key)
    WHERE usage_key.payload_hash <> e.payload_hash ORDER BY key LIMIT 5
"""


@dataclass(frozen=True)
class NewUsage:
    """`quantity` of `meter` counted at `event_time` by `source`, under a key that is its for ever.

    Raises InvalidInput for what no meter can count: see `_check`.
    """

    meter: str
    quantity: Decimal
    event_time: dt.datetime
    source: str
    key: str
    dimensions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self)

    @cached_property
    def dimensions_json(self) -> str:
        """As `json.dumps` writes them, sorted."""
        pairs = [f"{_quoted(k)}: {_quoted(v)}" for k, v in sorted(self.dimensions.items())]
        return f"{{{', '.join(pairs)}}}"

    @property
    def payload_hash(self) -> str:
        """sha256 of what was counted.

        Without the event time: work that a crash made us repeat is counted later than at first,
        and is the same event; the first one's time stands.
        """
        what = ", ".join(map(_quoted, (self.meter, plain_quantity(self.quantity), self.source)))
        return hashlib.sha256(f"[{what}, {self.dimensions_json}]".encode()).hexdigest()


def usage_parameters(rows: Iterable[tuple[str, NewUsage]]) -> dict[str, Any]:
    """Return the statements' parameters for (tenant id, event) pairs: a text for each column, and
    their `count`.

    An event given twice is taken once. Raises Conflict where one key comes with two payloads.
    """
    hashes: dict[tuple[str, str], str] = {}
    kept: list[tuple[str, ...]] = []
    for tenant_id, event in rows:
        fingerprint = event.payload_hash
        known = hashes.setdefault((tenant_id, event.key), fingerprint)
        if known != fingerprint:
            raise key_conflict([event.key])
        if len(hashes) > len(kept):
            kept.append(_texts(tenant_id, fingerprint, event))
    columns = zip(*kept, strict=True) if kept else ((),) * len(_COLUMNS)
    parameters = dict(zip(_COLUMNS, map(_SEPARATOR.join, columns), strict=True))
    return {**parameters, "id": _SEPARATOR.join(new_ids("use_", len(kept))), "count": len(kept)}


class UsageKeyConflict(Conflict):
    """One of `keys` came with another payload before."""

    code = "usage_key_conflict"

    def __init__(self, message: str, keys: Sequence[str], *, param: str = "key") -> None:
        super().__init__(message, param=param)
        self.keys = keys


def key_conflict(keys: Sequence[str]) -> UsageKeyConflict:
    named = ", ".join(repr(key) for key in keys)
    return UsageKeyConflict(
        f"already used for another payload: the usage key {named}; a key names one event for ever",
        keys,
    )


_COLUMNS = (
    "tenant_id", "key", "payload_hash", "meter", "quantity", "event_time", "source", "dimensions",
)  # fmt: skip


def _texts(tenant_id: str, fingerprint: str, event: NewUsage) -> tuple[str, ...]:
    return (
        tenant_id, event.key, fingerprint, event.meter, str(event.quantity),
        event.event_time.isoformat(), event.source, event.dimensions_json,
    )  # fmt: skip


def _check(event: NewUsage) -> None:
    meter = METERS.get(event.meter) or meter_named(event.meter)
    _check_quantity(event.quantity, whole=meter.whole, name=meter.name)
    _check_text(event.key, "key", MAX_KEY)
    _check_text(event.source, "source", MAX_SOURCE)
    if event.event_time.tzinfo is None:
        raise InvalidInput("event_time needs a time zone", param="event_time")
    if event.event_time > dt.datetime.now(dt.UTC) + CLOCK_TOLERANCE:
        raise InvalidInput(
            f"event_time {event.event_time.isoformat()} lies in the future", param="event_time"
        )
    _check_dimensions(meter, event.dimensions)


def _check_dimensions(meter: Meter, given: Mapping[str, str]) -> None:
    names = given.keys()
    if not names <= meter.dimensions:
        allowed = ", ".join(sorted(meter.dimensions)) or "none"
        unknown = ", ".join(sorted(map(str, names - meter.dimensions)))
        raise InvalidInput(
            f"{meter.name} has no dimension {unknown}; it may carry {allowed}", param="dimensions"
        )
    if not names >= meter.required:
        missing = ", ".join(sorted(meter.required - names))
        raise InvalidInput(f"{meter.name} needs {missing}", param="dimensions")
    for name, value in given.items():
        _check_text(value, f"dimensions.{name}", MAX_DIMENSION)


def _check_quantity(quantity: Decimal, *, whole: bool, name: str) -> None:
    if not isinstance(quantity, Decimal):
        raise InvalidInput(
            f"a quantity is a Decimal, not {type(quantity).__name__}", param="quantity"
        )
    if not quantity.is_finite() or not 0 <= quantity < MAX_QUANTITY:
        raise InvalidInput(
            f"a quantity is at least 0 and under 10^18, not {quantity}", param="quantity"
        )
    kept = quantity.to_integral_value() if whole else quantity.quantize(_PICO, context=_WIDE)
    if quantity != kept:
        raise InvalidInput(
            f"{name} is counted in {'whole units' if whole else '12 decimals'}, not {quantity}",
            param="quantity",
        )


def _check_text(value: str, param: str, longest: int) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= longest or not value.isprintable():
        raise InvalidInput(f"{param} is 1 to {longest} printable characters", param=param)


def plain_quantity(quantity: Decimal) -> str:
    """One text for one number: 1, 1.0 and 1E+0 are equal payloads."""
    return f"{quantity.normalize(_WIDE):f}" if quantity else "0"
