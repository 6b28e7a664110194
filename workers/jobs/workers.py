"""Worker processes: they register, are heard of, drain and stop.

The platform's own (system scope).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from django.db.models.functions import Now

from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from workers.jobs.models import Worker


def worker_register(
    *, name: str, worker_class: str, queues: Sequence[str], slots: int, memory_bytes: int = 0
) -> Worker:
    """Make this process known. `memory_bytes` is what one slot may use."""
    with system_scope():
        return Worker.objects.create(
            id=new_id("wrk_"),
            name=name,
            worker_class=worker_class,
            queues=list(queues),
            slots=slots,
            memory_bytes=memory_bytes,
            host=socket.gethostname(),
            pid=os.getpid(),
        )


def slot_memory(worker_id: str) -> int:
    """Bytes that one of its slots may use; 0 where that is not known."""
    with system_scope():
        return int(Worker.objects.values_list("memory_bytes", flat=True).get(pk=worker_id))


def worker_heartbeat(*, worker_id: str, busy: int) -> None:
    """Tell that the worker lives, with `busy` of its slots at work.

    One who was given up comes back.
    """
    with system_scope():
        Worker.objects.filter(pk=worker_id).update(heartbeat_at=Now(), busy=busy, stopped_at=None)


def worker_drain(*, worker_id: str) -> None:
    """The worker claims no more."""
    with system_scope():
        Worker.objects.filter(pk=worker_id, draining_at=None).update(draining_at=Now())


def worker_stop(*, worker_id: str) -> None:
    with system_scope():
        Worker.objects.filter(pk=worker_id).update(stopped_at=Now(), busy=0)
