"""The database from long-lived threads.

Connections go back after each use; short outages are sat out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connections

T = TypeVar("T")

OUTAGES = (OperationalError, InterfaceError)
PAUSE_S = 0.2  # between tries


@contextmanager
def brief_connections() -> Iterator[None]:
    """Give this thread's connections back at the end; a broken one is not used again."""
    try:
        yield
    finally:
        connections.close_all()


def persistently(write: Callable[[], T], *, until: Callable[[], float]) -> T:
    """Call `write`, and again while the database is out of reach and `until()` has not come.

    `until()` is a moment by the monotonic clock. `write` must be safe to repeat: its first commit
    may have succeeded unheard. Raises the last outage.
    """
    while True:
        try:
            with brief_connections():
                return write()
        except OUTAGES:
            if time.monotonic() + PAUSE_S > until():
                raise
            time.sleep(PAUSE_S)
