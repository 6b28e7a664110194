"""The one `WorkerProcess` of a Celery worker, made and ended by Celery's signals."""

from __future__ import annotations

from typing import Any

from celery.signals import worker_init, worker_shutdown, worker_shutting_down

from workers.jobs.kinds import QUEUES
from workers.tasks.worker import WorkerProcess

_workers: list[WorkerProcess] = []


def worker() -> WorkerProcess:
    """Return this process's worker. Raises RuntimeError outside of a Celery worker."""
    if not _workers:
        raise RuntimeError("this process is no Celery worker")
    return _workers[0]


@worker_init.connect
def _begin(sender: Any, **_: Any) -> None:
    names = [name for name in sender.app.amqp.queues.consume_from if name in QUEUES]
    if names:  # the control worker runs no jobs and has no slots
        _workers.append(
            WorkerProcess(name=sender.hostname, queue_names=names, slots=sender.concurrency)
        )


@worker_shutting_down.connect
def _drain(**_: Any) -> None:
    for each in _workers:
        each.drain()


@worker_shutdown.connect
def _end(**_: Any) -> None:
    for each in _workers:
        each.stop()
    _workers.clear()
