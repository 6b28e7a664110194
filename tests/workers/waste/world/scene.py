"""What every scene is: telemetry, the truth by counterfactual, and the bill after actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from workers.waste.facts import MONTH_S
from workers.waste.findings import Finding

HOURS = 720
SECONDS = HOURS * 3600.0
assert SECONDS == MONTH_S

Key = tuple[str, str]  # kind of waste, subject
Done = Mapping[Key, Finding]  # the actions done

RATES = {"worker.gpu": 2.50 / 3600, "worker.small-gpu": 1.00 / 3600, "worker.owned": 2.50 / 3600}
SPOT = 0.9 / 3600
INTERRUPTIONS_PER_HOUR, RESTART_S = 0.15, 120.0
STORAGE = 0.023
FALLS = 0.5  # a bill that falls by less than half a dollar a month has not fallen


class Scene(Protocol):
    def telemetry(self) -> dict[str, tuple[Any, ...]]:
        """Parts of `Facts`, as monitoring would have them."""

    def truth(self) -> dict[Key, float]:
        """What leaks, and how much a month: by playing the scene again without the cause."""

    def bill(self, done: Done) -> float:
        """The month's bill, net of what tenants pay, after those actions."""
