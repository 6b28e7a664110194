"""Replicas: a child that answers requests on a private port until it is told to leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings

from tenants.kernel.errors import FencedOut, NotFound
from workers.jobs.models import Job
from workers.jobs.outcomes import Made, job_steady
from workers.serving.replicas import (
    Serving,
    adapter_open,
    replica_beat,
    replica_draining,
    replica_open,
    replica_ready,
    replica_stopped,
)
from workers.serving.runtime.host import ReplicaSettings, request_of
from workers.tasks.channel import Frame
from workers.tasks.child import LOOPBACK
from workers.tasks.database import OUTAGES
from workers.tasks.runs.run import CannotRun, Context, numerics

STEADY_BEATS = 15  # about half a minute of serving


class ServeRun:
    """A job of kind `serve`: it ends by order only, and opens the adapters that it is asked for."""

    entry = "workers.tasks.serve_child"
    network = LOOPBACK

    def __init__(self, context: Context) -> None:
        self.context, self.lease = context, context.claim.lease
        spec = context.claim.spec
        self.serving = Serving(spec["target"], spec["base_id"], spec.get("version_id"))
        self._adapters_opened = 0
        self._beats = 0

    def prepare(self) -> Mapping[str, Any]:
        try:
            opened = self.context.persist(
                lambda: replica_open(
                    lease=self.lease, serving=self.serving, scratch=self.context.scratch
                )
            )
        except NotFound as error:
            raise CannotRun(error.message, code="model_deleted", param="model") from error
        given = ReplicaSettings(
            kind=opened.kind,
            folder=opened.folder,
            secret=opened.secret,
            max_sequences=settings.SERVING_MAX_SEQUENCES,
            adapter_bytes=settings.SERVING_ADAPTER_BYTES,
            beats_from=self.context.claim.high_step,
            **numerics(),
        )
        return {"key": self.context.job_id, "settings": request_of(given)}

    def on_beat(self, frame: Frame) -> None:
        adapters, active = list(frame["adapters"]), int(frame["active"])
        self.context.persist(
            lambda: replica_beat(lease=self.lease, adapters=adapters, active=active)
        )
        self._beats += 1
        if self._beats == STEADY_BEATS:
            self.context.persist(lambda: job_steady(lease=self.lease))

    def on_frame(self, frame: Frame) -> Mapping[str, Any] | None:
        if frame["type"] == "ready":
            address = str(frame["address"])
            self.context.persist(lambda: replica_ready(lease=self.lease, address=address))
            return {}
        if frame["type"] == "draining":
            self.context.persist(lambda: replica_draining(lease=self.lease))
            return {}
        if frame["type"] == "adapter":
            return self._adapter(str(frame["tenant_id"]), str(frame["version_id"]))
        raise ValueError(f"a replica sent {frame['type']!r}")

    def _adapter(self, tenant_id: str, version_id: str) -> Mapping[str, Any]:
        """Open an adapter into a folder of its own, which the replica deletes after loading it."""
        self._adapters_opened += 1
        into = self.context.scratch / f"adapter-{self._adapters_opened}"
        try:
            folder = self.context.persist(
                lambda: adapter_open(
                    serving=self.serving,
                    tenant_id=tenant_id,
                    version_id=version_id,
                    into=into,
                )
            )
        except NotFound as error:
            return {"missing": error.message}
        return {"folder": str(folder)}

    def finish(self, _frame: Frame) -> Callable[[Job], Made]:
        raise ValueError("a replica never finishes by itself")

    def close(self) -> None:
        with suppress(FencedOut, *OUTAGES):
            self.context.persist(lambda: replica_stopped(lease=self.lease))
