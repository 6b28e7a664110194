"""Worker processes: they register, are heard of, drain and stop.

The platform's own (system scope).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from django.db.models.functions import Now

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.costs.models import Rate
from tenants.kernel.errors import NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from workers.jobs.models import Worker


def worker_register(
    *,
    name: str,
    worker_class: str,
    queues: Sequence[str],
    slots: int,
    memory_bytes: int = 0,
    rate_kind: str = Rate.Kind.ON_DEMAND,
) -> Worker:
    """Make this process known. `memory_bytes` is what one slot may use; `rate_kind` says how its
    time is bought.
    """
    with system_scope():
        return Worker.objects.create(
            id=new_id("wrk_"),
            name=name,
            worker_class=worker_class,
            queues=list(queues),
            slots=slots,
            memory_bytes=memory_bytes,
            rate_kind=rate_kind,
            host=socket.gethostname(),
            pid=os.getpid(),
        )


def slot_memory(worker_id: str) -> int:
    """Bytes that one of its slots may use; 0 where that is not known."""
    with system_scope():
        return int(Worker.objects.values_list("memory_bytes", flat=True).get(pk=worker_id))


def worker_heartbeat(*, worker_id: str, busy: int) -> bool:
    """Tell that the worker lives, with `busy` of its slots at work; whether it is to drain.

    One who was given up comes back.
    """
    with system_scope():
        rows = Worker.objects.filter(pk=worker_id)
        rows.update(heartbeat_at=Now(), busy=busy, stopped_at=None)
        return rows.filter(drain_asked_at__isnull=False).exists()


def worker_drain(*, worker_id: str) -> None:
    """The worker claims no more."""
    with system_scope():
        Worker.objects.filter(pk=worker_id, draining_at=None).update(draining_at=Now())


def worker_resume(*, worker_id: str) -> None:
    """The worker claims again: whoever asked it to drain took that back."""
    with system_scope():
        Worker.objects.filter(pk=worker_id, drain_asked_at=None).update(draining_at=None)


def drain_ask(*, actor: Actor, worker_id: str) -> None:
    """Have a worker claim no more, from its next heartbeat on; its work goes on elsewhere.

    System scope. Raises NotFound for one that has stopped.
    """
    _asked(actor, worker_id, "worker.drain", Now())


def drain_take_back(*, actor: Actor, worker_id: str) -> None:
    """Let a worker that was asked to drain claim again. Raises NotFound for one that stopped."""
    _asked(actor, worker_id, "worker.resume", None)


def _asked(actor: Actor, worker_id: str, action: str, moment: Now | None) -> None:
    actor.require("jobs.write")
    rows = Worker.objects.filter(pk=worker_id, stopped_at__isnull=True)
    if not rows.update(drain_asked_at=moment):
        raise NotFound(f"no worker {worker_id!r} is alive", param="worker_id")
    audit_record(actor=actor, action=action, target=worker_id)


def worker_stop(*, worker_id: str) -> None:
    with system_scope():
        Worker.objects.filter(pk=worker_id).update(stopped_at=Now(), busy=0)
