"""Reading the system's rows from the driver, whatever happens to PostgreSQL meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from workers.tasks.database import persistently

T = TypeVar("T")

OUTAGE_S = 60.0


def sat_out(read: Callable[[], T]) -> T:
    """Call `read`, and again while the database is away."""
    deadline = time.monotonic() + OUTAGE_S
    return persistently(read, until=lambda: deadline)
