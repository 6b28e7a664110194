"""What is bought before an operator says otherwise: list prices of ordinary cloud machines.

They are a starting point for the first run; `rate_set` names what is really paid.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

CURRENCY = "USD"
SINCE = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)  # before any work


@dataclass(frozen=True)
class DefaultResource:
    """`amount` is USD for one `unit`, on demand."""

    id: str
    unit: str
    description: str
    amount: Decimal


DEFAULTS = (
    DefaultResource(
        "worker.cpu", "slot-second", "one core and 2 GB: 0.0425 USD/h", Decimal("0.000011805556")
    ),
    DefaultResource(
        "worker.gpu", "slot-second", "one data-centre GPU: 2.50 USD/h", Decimal("0.000694444444")
    ),
    DefaultResource(
        "worker.tpu", "slot-second", "one TPU chip: 1.20 USD/h", Decimal("0.000333333333")
    ),
    DefaultResource(
        "storage",
        "GB-hour",
        "object storage: 0.023 USD/GB-month",
        Decimal("0.000031506849"),
    ),
)
