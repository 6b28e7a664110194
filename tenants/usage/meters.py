"""What is counted. A meter is code: its name, its unit, and the dimensions its events may carry.

Quantities of one meter never hold another's: `tokens.input` leaves out what `tokens.cached` counts.
No dimension tells of the attempt, so that work repeated after a crash is the same event again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tenants.kernel.errors import InvalidInput


@dataclass(frozen=True)
class Meter:
    """`required` and `optional` name the dimensions; `whole` meters count in whole units.

    `external` meters are counted outside and sent to the API; all others the platform alone counts.
    """

    name: str
    unit: str
    description: str
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    whole: bool = True
    external: bool = False

    @cached_property
    def dimensions(self) -> frozenset[str]:
        return self.required | self.optional


MODEL = frozenset({"model", "base"})  # the name called or made, and the base model beneath it
CALLER = frozenset({"api_key_id", "user_id"})
OF_CALL = CALLER | {"request_id", "deployment_id", "batch"}
OF_JOB = CALLER | {"method"}
REQUEST = OF_CALL | {"endpoint"}
JOB = OF_JOB | {"job_id"}

_ALL = (
    Meter("tokens.input", "token", "prompt tokens computed afresh", MODEL, REQUEST | JOB),
    Meter("tokens.cached", "token", "prompt tokens read from a prefix cache", MODEL, REQUEST),
    Meter("tokens.output", "token", "tokens generated", MODEL, REQUEST | JOB),
    Meter("tokens.embedded", "token", "tokens of embedded texts", MODEL, REQUEST | JOB),
    Meter("tokens.trained", "token", "tokens trained on", MODEL | {"job_id"}, OF_JOB),
    Meter("tokens.evaluated", "token", "tokens evaluated", MODEL | {"job_id"}, OF_JOB),
    Meter("requests", "request", "calls of a model", MODEL | {"endpoint"}, OF_CALL),
    Meter("storage.gb_hours", "GB-hour", "stored bytes / 10^9 x hours", whole=False),
    Meter(
        "deployment.hours",
        "hour",
        "time that a deployment was ready",
        MODEL,
        frozenset({"deployment_id"}),
        whole=False,
    ),
    Meter("slot.seconds", "slot-second", "time of a worker slot", optional=JOB, whole=False),
    Meter(
        "plugin.units",
        "unit",
        "what a plugin says it did",
        frozenset({"plugin"}),
        frozenset({"sku"}),
        whole=False,
        external=True,
    ),
    Meter(
        "service.units",
        "unit",
        "what was delivered of a service",
        frozenset({"service"}),
        frozenset({"sku"}),
        whole=False,
        external=True,
    ),
)
UNSUMMED = frozenset({"request_id", "job_id"})  # `usage_hour` leaves them out: one event, one value
METERS: dict[str, Meter] = {meter.name: meter for meter in _ALL}


def meter_named(name: str) -> Meter:
    """Return the meter called `name`. Raises InvalidInput(code="unknown_meter")."""
    meter = METERS.get(name)
    if meter is None:
        raise InvalidInput(
            f"unknown meter {name!r}; known are {', '.join(METERS)}",
            param="meter",
            code="unknown_meter",
        )
    return meter
