"""Usage events on their way into the database: checks, payload hash, and the two statements. Pure.

Services run the statements through Django; the gateway, which has no ORM, through psycopg.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.ids import new_id
from tenants.usage.meters import meter_named

MAX_QUANTITY = Decimal(10) ** 18
MAX_KEY = 200
MAX_DIMENSION = 200
CLOCK_TOLERANCE = dt.timedelta(minutes=5)  # how far a sender's clock may run ahead of ours

# ON CONFLICT waits for a concurrent writer of the same key; sorted keys keep two writers from
# waiting for each other. Only keys that are new bring their event.
INSERT = """
    WITH incoming AS (
        SELECT * FROM unnest(
            %(tenant_id)s::text[], %(key)s::text[], %(payload_hash)s::text[], %(id)s::text[],
            %(meter)s::text[], %(quantity)s::numeric[], %(event_time)s::timestamptz[],
            %(source)s::text[], %(dimensions)s::text[]
        ) AS e(tenant_id, key, payload_hash, id, meter, quantity, event_time, source, dimensions)
    ), fresh AS (
        INSERT INTO usage_key (tenant_id, key, payload_hash)
        SELECT tenant_id, key, payload_hash FROM incoming ORDER BY tenant_id, key
        ON CONFLICT (tenant_id, key) DO NOTHING
        RETURNING tenant_id, key
    )
    INSERT INTO usage_event
        (id, tenant_id, meter, quantity, event_time, source, key, dimensions)
    SELECT id, tenant_id, meter, quantity, event_time, source, key, dimensions::jsonb
    FROM incoming JOIN fresh USING (tenant_id, key)
"""

# A statement of its own, after INSERT: only its fresh snapshot sees what a concurrent writer
# committed meanwhile. Needed where INSERT took fewer rows than it was given.
DIFFERING = """
    SELECT key FROM usage_key JOIN unnest(
        %(tenant_id)s::text[], %(key)s::text[], %(payload_hash)s::text[]
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

    @property
    def payload_hash(self) -> str:
        """sha256 of what was counted.

        Without the event time: work that a crash made us repeat is counted later than at first,
        and is the same event; the first one's time stands.
        """
        payload = [self.meter, _plain(self.quantity), self.source, dict(self.dimensions)]
        return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()


def usage_parameters(rows: Iterable[tuple[str, NewUsage]]) -> dict[str, list[Any]]:
    """Return the statements' parameters, one list a column, for (tenant id, event) pairs.

    An event given twice is taken once. Raises Conflict where one key comes with two payloads.
    """
    hashes: dict[tuple[str, str], str] = {}
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    for tenant_id, event in rows:
        fingerprint = event.payload_hash
        known = hashes.setdefault((tenant_id, event.key), fingerprint)
        if known != fingerprint:
            raise key_conflict([event.key])
        if len(hashes) > len(columns["key"]):
            _append(columns, tenant_id, fingerprint, event)
    return columns


def key_conflict(keys: Sequence[str]) -> Conflict:
    named = ", ".join(repr(key) for key in keys)
    return Conflict(
        f"already used for another payload: the usage key {named}; a key names one event for ever",
        param="key",
        code="usage_key_conflict",
    )


_COLUMNS = (
    "tenant_id", "key", "payload_hash", "id", "meter", "quantity", "event_time", "source",
    "dimensions",
)  # fmt: skip


def _append(
    columns: dict[str, list[Any]], tenant_id: str, fingerprint: str, event: NewUsage
) -> None:
    values = (
        tenant_id, event.key, fingerprint, new_id("use_"), event.meter, event.quantity,
        event.event_time, event.source, json.dumps(dict(event.dimensions)),
    )  # fmt: skip
    for name, value in zip(_COLUMNS, values, strict=True):
        columns[name].append(value)


def _check(event: NewUsage) -> None:
    meter = meter_named(event.meter)
    _check_quantity(event.quantity, whole=meter.whole, name=meter.name)
    _check_text(event.key, "key", MAX_KEY)
    _check_text(event.source, "source", 60)
    if event.event_time.tzinfo is None:
        raise InvalidInput("event_time needs a time zone", param="event_time")
    if event.event_time > dt.datetime.now(dt.UTC) + CLOCK_TOLERANCE:
        raise InvalidInput(
            f"event_time {event.event_time.isoformat()} lies in the future", param="event_time"
        )
    given = event.dimensions.keys()
    if unknown := sorted(given - meter.dimensions):
        allowed = ", ".join(sorted(meter.dimensions)) or "none"
        raise InvalidInput(
            f"{meter.name} has no dimension {', '.join(unknown)}; it may carry {allowed}",
            param="dimensions",
        )
    if missing := sorted(meter.required - given):
        raise InvalidInput(f"{meter.name} needs {', '.join(missing)}", param="dimensions")
    for name, value in event.dimensions.items():
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
    digits = 0 if whole else 12
    if quantity != round(quantity, digits):
        raise InvalidInput(
            f"{name} is counted in {'whole units' if whole else '12 decimals'}, not {quantity}",
            param="quantity",
        )


def _check_text(value: str, param: str, longest: int) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= longest or not value.isprintable():
        raise InvalidInput(f"{param} is 1 to {longest} printable characters", param=param)


def _plain(quantity: Decimal) -> str:
    """One text for one number: 1, 1.0 and 1E+0 are equal payloads."""
    return f"{quantity.normalize():f}"
