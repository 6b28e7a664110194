"""What an examination says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    GOOD = "good"
    WARNING = "warning"  # works, but something is worth doing
    FAILED = "failed"  # required, and not so
    OFF = "off"  # optional, and not configured


@dataclass(frozen=True)
class Finding:
    """`about` names the thing; `todo` says what to do where it is not good."""

    about: str
    health: Health
    message: str
    todo: str = ""


Check = Callable[[], Iterable[Finding]]


def good(about: str, message: str) -> Finding:
    return Finding(about, Health.GOOD, message)


def warning(about: str, message: str, todo: str) -> Finding:
    return Finding(about, Health.WARNING, message, todo)


def failed(about: str, message: str, todo: str) -> Finding:
    return Finding(about, Health.FAILED, message, todo)


def off(about: str, message: str, todo: str = "") -> Finding:
    return Finding(about, Health.OFF, message, todo)
