"""What is known of a job once it was checked: its complete spec, its needs, its price's lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tenants.pricing.quotes import QuoteLine
from workers.jobs.placement import Needs


@dataclass(frozen=True)
class Choice:
    """What a setting that was left to us came to, and why."""

    value: Any
    reason: str


@dataclass(frozen=True)
class Checked:
    """A complete spec, what the job needs of a worker, and what it will use.

    `lines` are priced by the quote; a job without any is not charged. `seconds` is how long it
    takes by the base's profile: at least, expected, at most; None where none was measured.
    `cohort_key` says with whom it may share passes, `update_tokens` how large its updates are.
    `chosen` are the settings that were left to us, by name.
    """

    spec: dict[str, Any]
    needs: Needs
    lines: tuple[QuoteLine, ...] = ()
    seconds: tuple[float, float, float] | None = None
    cohort_key: str = ""
    update_tokens: float = 0.0
    chosen: Mapping[str, Choice] = field(default_factory=dict)
