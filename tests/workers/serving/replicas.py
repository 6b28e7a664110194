"""A replica as a worker runs it: a serve job, a child process, and its parent's thread."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from django.db import connections

from tenants.accounts.actors import system_actor
from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.errors import NotFound
from tenants.kernel.scope import system_scope
from workers.engine.protocol import Command
from workers.jobs.claims import claim
from workers.jobs.fencing import Lease
from workers.jobs.services import job_submit
from workers.jobs.states import Kind
from workers.jobs.workers import worker_register
from workers.serving.replicas import (
    Serving,
    adapter_open,
    replica_beat,
    replica_open,
    replica_ready,
    replica_stopped,
)
from workers.serving.runtime.child import request_of
from workers.serving.runtime.host import ReplicaSettings
from workers.tasks.channel import ChannelClosed
from workers.tasks.process import Child

ENTRY = "workers.serving.runtime.child"
READY_S = 60.0


def serve_job(serving: Serving) -> str:
    """Submit a serve job, as the reconciler does."""
    platform = platform_tenant_ensure()
    with system_scope():
        job = job_submit(actor=system_actor(platform.id), kind=Kind.SERVE, spec=vars(serving))
        return str(job.id)


class RunningReplica:
    """A claimed serve job with its child. The thread does what the worker's parent does."""

    def __init__(self, serving: Serving, scratch: Path, **changes: Any) -> None:
        self.serving, self.scratch = serving, scratch
        self.changes = changes
        self.lease = self._claimed()
        self.opened_adapters: list[tuple[str, str]] = []
        self.is_ready, self.ended = threading.Event(), threading.Event()
        self.command = Command.GO
        self.result: dict[str, Any] | None = None
        self.error: BaseException | None = None
        self.child: Child | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self.is_ready.wait(0.05):
            if self.ended.is_set():
                raise RuntimeError(f"the replica did not start: {self.error} {self.log}")
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._thread.join()

    @property
    def log(self) -> str:
        return self.child.log_tail if self.child else ""

    def kill(self) -> None:
        """kill -9."""
        if self.child and not self.ended.is_set():
            os.kill(self.child.pid, signal.SIGKILL)
            self.ended.wait(10)

    def _claimed(self) -> Lease:
        serve_job(self.serving)
        worker = worker_register(name="w", worker_class="cpu", queues=["serve.cpu"], slots=4)
        found = claim(worker_id=worker.id, slot=0, queue="serve.cpu", lease_s=600)
        assert found is not None
        return found.lease

    def _run(self) -> None:
        try:
            self._supervise()
        except BaseException as error:  # noqa: BLE001 -- shown by whoever waits
            self.error = error
        finally:
            replica_stopped(lease=self.lease)
            connections.close_all()
            self.ended.set()

    def _supervise(self) -> None:
        self.scratch.mkdir(parents=True, exist_ok=True)
        opened = replica_open(lease=self.lease, serving=self.serving, scratch=self.scratch)
        given = ReplicaSettings(opened.kind, opened.folder, opened.secret, **self.changes)
        self.child = Child(ENTRY, self.scratch)
        try:
            self.child.channel.send(request_of(given))
            while (frame := self.child.channel.receive()) is not None:
                if frame["type"] in {"result", "crashed"}:
                    self.result = frame
                    return
                answer = self._answer(frame)
                if answer is not None:
                    self.child.channel.send(answer)
        except ChannelClosed:
            return
        finally:
            self.child.end(grace_s=0)

    def _answer(self, frame: dict[str, Any]) -> dict[str, Any] | None:
        if frame["type"] == "ready":
            replica_ready(lease=self.lease, address=frame["address"])
            self.address = frame["address"]
            self.is_ready.set()
        elif frame["type"] == "loaded":
            replica_beat(lease=self.lease, adapters=frame["adapters"], active=frame["active"])
        elif frame["type"] == "beat":
            return {"command": self.command.value}
        elif frame["type"] == "adapter":
            return self._open(frame)
        return None

    def _open(self, frame: dict[str, Any]) -> dict[str, Any]:
        tenant_id, version_id = frame["tenant_id"], frame["version_id"]
        into = self.scratch / f"adapter-{version_id}"
        shutil.rmtree(into, ignore_errors=True)
        try:
            folder = adapter_open(
                base_id=self.serving.base_id,
                tenant_id=tenant_id,
                version_id=version_id,
                into=into,
            )
        except NotFound as error:
            return {"error": error.message}
        self.opened_adapters.append((tenant_id, version_id))
        return {"folder": str(folder)}


def scratch_folder(name: str) -> Path:
    return Path(settings.SCRATCH_DIR) / name
