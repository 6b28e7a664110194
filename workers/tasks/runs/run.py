"""What a kind of job adds to the supervision of its child: one small class each in this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

from django.conf import settings

from tenants.kernel.clock import now
from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.scope import tenant_scope
from tenants.usage.ingestion import NewUsage
from workers.jobs.claims import Claim
from workers.jobs.models import Job
from workers.jobs.outcomes import Made
from workers.tasks.channel import Frame

T = TypeVar("T")


class CannotRun(Exception):
    """The job cannot be done as it stands, and never will: the customer's failure."""

    def __init__(
        self, message: str, *, code: str = "invalid_job", param: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class Persist(Protocol):
    """Calls a write, and again while the database is briefly away and the lease still holds."""

    def __call__(self, write: Callable[[], T]) -> T: ...


@dataclass
class Context:
    """What a run is given: its claim, a private folder, and how to reach the database."""

    claim: Claim
    scratch: Path
    persist: Persist
    usage: list[NewUsage] = field(default_factory=list)  # to be sold with the next commit

    @property
    def job_id(self) -> str:
        return self.claim.lease.job_id

    @property
    def tenant_id(self) -> str:
        return self.claim.lease.tenant_id

    @cached_property
    def data_key(self) -> bytes:
        """The tenant's data key; it stays on this side of the channel."""
        return self.in_scope(lambda: tenant_data_key(self.tenant_id))

    def in_scope(self, read: Callable[[], T]) -> T:
        """Call `read` in the tenant's scope, in a transaction of its own."""

        def scoped() -> T:
            with tenant_scope(self.tenant_id):
                return read()

        return self.persist(scoped)


class Run(Protocol):
    """`entry` names the child's module, which has `run(channel, request)`.

    `network` is what the child may reach: nothing, or the loopback to be reached on.
    """

    entry: str
    network: str

    def prepare(self) -> Mapping[str, Any]:
        """Put files into scratch and return the child's request. Raises CannotRun."""

    def on_beat(self, frame: Frame) -> None:
        """See a beat pass by; its orders are answered elsewhere."""

    def on_frame(self, frame: Frame) -> Mapping[str, Any] | None:
        """Deal with a frame of this kind's own; return the answer, None where none is owed."""

    def finish(self, frame: Frame, /) -> Callable[[Job], Made]:
        """Store what the child made; return what writes its rows in the closing transaction."""

    def close(self) -> None:
        """The child has ended, in whatever way."""


def used_tokens(context: Context, frame: Frame, *, meter: str, model: str, base: str) -> NewUsage:
    """A `used` frame as a usage event. Its key is the range of steps, the same in every attempt."""
    return NewUsage(
        meter=meter,
        quantity=Decimal(int(frame["tokens"])),
        event_time=now(),
        source="jobs",
        key=f"{context.job_id}:{int(frame['start'])}-{int(frame['stop'])}",
        dimensions={"model": model, "base": base, "job_id": context.job_id},
    )


def handle(path: Path | str, media_type: str, sha256: str) -> dict[str, str]:
    """A file or folder as the child's request names it."""
    return {"path": str(path), "media_type": media_type, "sha256": sha256}


def numerics() -> dict[str, Any]:
    """How this worker computes: one thread per slot, on the device of its class."""
    device = {"gpu": "cuda:0", "tpu": "xla"}.get(settings.WORKER_CLASS, "cpu")
    return {"dtype": "float32", "threads": 1, "device": device}


def training_numerics(asked: Mapping[str, Any], memory_bytes: int) -> dict[str, Any]:
    """How this worker trains: `asked` are the job's settings, `memory_bytes` what its slot has."""
    return numerics() | {
        "dtype": asked.get("dtype", "auto"),
        "processes": min(int(asked.get("processes", 1)), settings.WORKER_PROCESSES),
        "memory_bytes": memory_bytes,
    }
