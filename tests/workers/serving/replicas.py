"""Replicas as a worker runs them: a serve job, a child process, and its parent's thread.

A process may outlive a test: the model is loaded once, and each test enters it under its own job.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from workers.serving.models import Replica
from workers.serving.replicas import (
    Serving,
    adapter_open,
    replica_beat,
    replica_open,
    replica_ready,
    replica_stopped,
)
from workers.serving.runtime.host import ReplicaSettings, request_of
from workers.tasks.channel import ChannelClosed
from workers.tasks.child import LOOPBACK
from workers.tasks.process import Child

ENTRY = "workers.tasks.serve_child"
WITHIN_S = 60.0


@dataclass
class Parent:
    """What a worker's parent does for the replica of one serve job."""

    lease: Lease
    serving: Serving
    scratch: Path
    opened: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, frame: dict[str, Any]) -> dict[str, Any]:
        if frame["type"] == "adapter":
            return self._adapter(frame["tenant_id"], frame["version_id"])
        if frame["type"] == "beat":
            replica_beat(lease=self.lease, adapters=frame["adapters"], active=frame["active"])
        return {}

    def _adapter(self, tenant_id: str, version_id: str) -> dict[str, Any]:
        into = self.scratch / f"adapter-{version_id}"
        shutil.rmtree(into, ignore_errors=True)
        try:
            folder = adapter_open(
                serving=self.serving, tenant_id=tenant_id, version_id=version_id, into=into
            )
        except NotFound as error:
            return {"missing": error.message}
        self.opened.append((tenant_id, version_id))
        return {"folder": str(folder)}


class ReplicaProcess:
    """A child process that serves, and the thread that it belongs to."""

    def __init__(self, given: ReplicaSettings, scratch: Path) -> None:
        self.given, self.scratch = given, scratch
        self.command = Command.GO
        self.result: dict[str, Any] | None = None
        self.address = ""
        self.child: Child | None = None
        self._parent: Parent | None = None
        self._turn = threading.Lock()
        self._ready, self.ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        scratch.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def wait(self) -> None:
        """Return when it answers. Raises RuntimeError with its log."""
        while not self._ready.wait(0.05):
            if self.ended.is_set():
                raise RuntimeError(f"the replica did not start: {self.result} {self.log}")

    @property
    def log(self) -> str:
        return self.child.log_tail if self.child else ""

    def kill(self) -> None:
        """kill -9."""
        if self.child and not self.ended.is_set():
            os.kill(self.child.pid, signal.SIGKILL)
        self._thread.join(WITHIN_S)

    @contextmanager
    def entered(self, parent: Parent) -> Iterator[Parent]:
        """Serve under `parent`'s job: its row says that this process is ready."""
        with system_scope():
            Replica.objects.filter(job_id=parent.lease.job_id).update(secret=self.given.secret)
        with self._turn:
            self._parent = parent
        replica_ready(lease=parent.lease, address=self.address)
        try:
            yield parent
        finally:
            with self._turn:
                self._parent = None
            replica_stopped(lease=parent.lease)

    def _run(self) -> None:
        self.child = Child(ENTRY, self.scratch, network=LOOPBACK)
        try:
            self.child.channel.send({"key": "replica", "settings": request_of(self.given)})
            while self.result is None:
                self._deal(self.child.channel.receive() or {})
        except ChannelClosed:
            return
        finally:
            self.child.end(grace_s=0)
            connections.close_all()
            self.ended.set()

    def _deal(self, frame: dict[str, Any]) -> None:
        assert self.child is not None
        if frame["type"] in {"result", "crashed"}:
            self.result = frame
            return
        with self._turn:
            answer = self._parent.answer(frame) if self._parent else {}
        if frame["type"] == "ready":
            self.address = frame["address"]
            self._ready.set()
        self.child.channel.send({"command": self.command.value, **answer})


def serve_job(serving: Serving) -> str:
    """Submit a serve job, as the reconciler does."""
    platform = platform_tenant_ensure()
    with system_scope():
        job = job_submit(actor=system_actor(platform.id), kind=Kind.SERVE, spec=vars(serving))
        return str(job.id)


def claimed(serving: Serving, scratch: Path) -> Parent:
    """A worker takes the serve job and registers its replica, which is not ready yet."""
    serve_job(serving)
    worker = worker_register(name="w", worker_class="cpu", queues=["serve.cpu"], slots=4)
    found = claim(worker_id=worker.id, slot=0, queue="serve.cpu", lease_s=600)
    assert found is not None
    scratch.mkdir(parents=True, exist_ok=True)
    replica_open(lease=found.lease, serving=serving, scratch=scratch)
    return Parent(found.lease, serving, scratch)
