"""Replicas: the parent's side. Work that never succeeds, only ends: drained, cancelled or lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings

from tenants.kernel.errors import NotFound
from workers.jobs.models import Job
from workers.jobs.outcomes import Made
from workers.serving.replicas import (
    Serving,
    adapter_open,
    replica_beat,
    replica_open,
    replica_ready,
    replica_stopped,
)
from workers.serving.runtime.host import ReplicaSettings, request_of
from workers.tasks.channel import Frame
from workers.tasks.database import OUTAGES
from workers.tasks.runs.run import CannotRun, Context, numerics


class ServeRun:
    entry = "workers.serving.runtime.child"

    def __init__(self, context: Context) -> None:
        self.context, self.lease = context, context.claim.lease
        spec = context.claim.spec
        self.serving = Serving(spec["target"], spec["base_id"], spec["version_id"])

    def prepare(self) -> Mapping[str, Any]:
        lease, serving, scratch = self.lease, self.serving, self.context.scratch
        try:
            opened = self.context.persist(
                lambda: replica_open(lease=lease, serving=serving, scratch=scratch)
            )
        except NotFound as error:
            raise CannotRun(error.message, code="model_not_found") from error
        given = ReplicaSettings(
            kind=opened.kind,
            folder=opened.folder,
            secret=opened.secret,
            max_sequences=settings.SERVING_MAX_SEQUENCES,
            adapter_bytes=settings.SERVING_ADAPTER_BYTES,
            beats_from=self.context.claim.high_step,
            **numerics(),
        )
        return request_of(given)

    def on_frame(self, frame: Frame) -> Mapping[str, Any] | None:
        lease = self.lease
        if frame["type"] == "ready":
            address = str(frame["address"])
            self.context.persist(lambda: replica_ready(lease=lease, address=address))
        elif frame["type"] == "loaded":
            adapters, active = frame["adapters"], int(frame["active"])
            self.context.persist(
                lambda: replica_beat(lease=lease, adapters=adapters, active=active)
            )
        elif frame["type"] == "adapter":
            return self._adapter(str(frame["tenant_id"]), str(frame["version_id"]))
        else:
            raise ValueError(f"a replica sent {frame['type']!r}")
        return None

    def finish(self, frame: Frame) -> Callable[[Job], Made]:
        raise ValueError(f"a replica never succeeds, but sent {frame['outcome']!r}")

    def close(self) -> None:
        with suppress(*OUTAGES):  # then the reconciler sees that nobody holds it
            replica_stopped(lease=self.lease)

    def _adapter(self, tenant_id: str, version_id: str) -> Mapping[str, Any]:
        """Open what the child asks for, if it is whose it says."""
        into = self.context.scratch / f"adapter-{version_id}"

        def opened() -> str:
            shutil.rmtree(into, ignore_errors=True)
            base_id = self.serving.base_id
            folder = adapter_open(
                base_id=base_id, tenant_id=tenant_id, version_id=version_id, into=into
            )
            return str(folder)

        try:
            return {"folder": self.context.persist(opened)}
        except NotFound as error:
            return {"error": error.message}
