"""Waiting for what the platform does a moment later."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from saas.demo.identities import DemoFailed

T = TypeVar("T")
LOOK_EVERY_S = 0.3


def wait_for(what: str, look: Callable[[], T | None], *, limit_s: float) -> T:
    """Return what `look` finds first that is not empty. Raises DemoFailed after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise DemoFailed(f"waited {limit_s:.0f} s for {what}")
        time.sleep(LOOK_EVERY_S)
    return found
