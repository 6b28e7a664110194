"""What the host is told and what it tells: limits in, outcomes and health out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["bubblewrap", "namespaces", "seccomp_landlock", "none"]
FailureKind = Literal[
    "raised",  # an exception of its own
    "refused",  # it said no, with a text for the customer
    "memory",
    "timeout",
    "cancelled",
    "crashed",  # its process ended in the middle, whatever the exit code
    "flood",  # more output, frames or files than its limits allow
    "contract",  # an answer that is not what the hook returns, or a claim past its meter
    "suspended",  # the circuit breaker is open
    "unavailable",  # no sandbox, or it could not be started
]
# held against the plugin; what else there is: a refusal, a wish of ours, and what was not called
ITS_OWN: frozenset[FailureKind] = frozenset(
    {"raised", "memory", "timeout", "crashed", "flood", "contract"}
)
NOT_CALLED: frozenset[FailureKind] = frozenset({"suspended", "unavailable"})


@dataclass(frozen=True)
class Limits:
    """What one child may use. Sizes in bytes, times in seconds."""

    memory: int = 2 * 1024**3  # of address space
    cpu_s: int = 900  # over the life of the child
    file: int = 256 * 1024**2  # one file
    folder: int = 1024**3  # all files of one call
    open_files: int = 128
    processes: int = 64  # and threads; counted where the child has a user id of its own
    output: int = 8 * 1024**2  # of stdout and stderr together
    call_s: float = 10.0
    start_s: float = 30.0
    cancel_s: float = 2.0  # from "cancel" to the end of the process


@dataclass(frozen=True)
class Failure:
    """Why a call gave nothing."""

    kind: FailureKind
    message: str


@dataclass(frozen=True)
class Outcome:
    """One plugin's part of one hook call. `wall_s` and `cpu_s` are measured, never claimed."""

    plugin: str
    version: str
    value: Any = None
    failure: Failure | None = None
    level: Level | Literal["trusted"] = "trusted"
    wall_s: float = 0.0
    cpu_s: float = 0.0
    usage_keys: Mapping[str, str] = field(default_factory=dict)  # meter → idempotency key


@dataclass(frozen=True)
class Enabled:
    """A plugin that the calling tenant enabled, with its settings and granted permissions."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    permissions: frozenset[str] = frozenset()
