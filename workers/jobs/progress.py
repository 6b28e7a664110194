"""How long is left, and which points of a curve are worth keeping. Pure, and free of Django: the
engine's child reads it too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

POINTS = 200  # of a curve, at most, besides the held-out ones
SMOOTHING = 0.1  # weight of the newest step in the running mean

# The engine's names of figures, and those of OpenAI's metrics events.
_NAMES = {
    "train_loss": "epoch_mean_train_loss",
    "loss": "train_loss",
    "token_accuracy": "train_mean_token_accuracy",
    "validation_loss": "valid_loss",
    "validation_token_accuracy": "valid_mean_token_accuracy",
}


@dataclass
class Pace:
    """Seconds a step takes, as a running mean; fed with (step, monotonic seconds)."""

    step: int | None = None
    at: float = 0.0
    seconds: float | None = field(default=None)

    def moved(self, step: int, at: float) -> None:
        if self.step is not None and step > self.step:
            each = (at - self.at) / (step - self.step)
            known = self.seconds
            self.seconds = each if known is None else known + SMOOTHING * (each - known)
        if self.step is None or step > self.step:
            self.step, self.at = step, at

    def remaining(self, steps: int) -> float | None:
        """Seconds until `steps`; None while nothing is known."""
        if self.seconds is None or self.step is None:
            return None
        return max(steps - self.step, 0) * self.seconds


def is_kept(step: int, steps: int, metrics: Mapping[str, float]) -> bool:
    """Whether this point belongs on the curve: each one of a short job, every n-th of a long one.

    Held-out figures are rare and always kept.
    """
    if "validation_loss" in metrics:
        return True
    if "loss" not in metrics:
        return False
    return step % max(1, math.ceil(steps / POINTS)) == 0 or step in {1, steps}


def curve_point(step: int, steps: int, metrics: Mapping[str, float]) -> dict[str, float | int]:
    """The data of OpenAI's `metrics` event: step, total_steps, train_loss, valid_loss …"""
    named = {_NAMES.get(name, name): value for name, value in finite(metrics).items()}
    if "valid_loss" in named:
        named["full_valid_loss"] = named["valid_loss"]
    if "valid_mean_token_accuracy" in named:
        named["full_valid_mean_token_accuracy"] = named["valid_mean_token_accuracy"]
    return {"step": step, "total_steps": steps, **named}


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Only the numbers that JSON, and so the database, can hold."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
