"""By which clock work is measured. Free of torch."""

from __future__ import annotations

import time
from collections.abc import Callable


def clock_of(device: str) -> Callable[[], float]:
    """Processor time, which other processes do not disturb; by the wall on an accelerator."""
    return time.process_time if device == "cpu" else time.perf_counter
