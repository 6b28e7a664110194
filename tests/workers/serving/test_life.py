"""A deployment from its first call to its sleep: reconciler, worker, child, gateway."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import connections

from tenants.costs.models import CostEntry
from tenants.kernel.scope import system_scope
from tests.workers.serving.factories import copied, customer, text_base, version_of
from tests.workers.serving.gateway.directly import prompt_ids, written
from workers.jobs.models import Attempt, Job
from workers.jobs.states import State
from workers.serving.models import Deployment, Replica
from workers.serving.reconcile import deployments_reconcile
from workers.tasks.worker import WorkerProcess

pytestmark = pytest.mark.django_db

HELLO: list[Any] = [{"role": "user", "content": "Tell me of lists."}]


@pytest.fixture
def worker(db: None, settings: Any, tmp_path: Path) -> Iterator[WorkerProcess]:
    """A worker with one slot for replicas, and the periodic tasks beside it."""
    settings.LEASE_S, settings.SCRATCH_DIR = 3, str(tmp_path / "scratch")
    process = WorkerProcess(name="serve", queue_names=["serve.cpu"], slots=1)
    stop = threading.Event()

    def repeat(call: Callable[[], object]) -> None:
        try:
            while not stop.wait(0.2):
                call()
        finally:
            connections.close_all()

    calls: list[Callable[[], object]] = [lambda: process.work("serve.cpu"), deployments_reconcile]
    threads = [threading.Thread(target=repeat, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    yield process
    process.drain()
    stop.set()
    for thread in threads:
        thread.join()
    process.stop()


def test_woken_served_killed_replaced_and_put_to_sleep(
    tiny: Path,
    adapters: list[Path],
    worker: WorkerProcess,
    client: Any,
    settings: Any,
    tmp_path: Path,
    eventually: Any,
) -> None:
    settings.SERVING_WAKE_WAIT_S = 120
    base = text_base(tiny)
    acme = customer()
    version = version_of(acme, base, copied(adapters[0], tmp_path / "a"))
    chat = client(acme, timeout=150.0).chat.completions
    asked: dict[str, Any] = {"model": version.name, "messages": HELLO, "temperature": 0,
                             "max_tokens": 8}  # fmt: skip
    expected = written(
        tiny, prompt_ids(tiny, HELLO), adapter=adapters[0], temperature=0, max_tokens=8
    )
    # when the first call comes, then it is answered by the replica that it woke
    assert chat.create(**asked).choices[0].message.content == expected
    eventually(lambda: _deployment(version.name).state == Deployment.State.READY)
    # when that replica is killed, then the next attempt answers
    os.kill(_child(tmp_path / "scratch"), signal.SIGKILL)
    assert chat.create(**asked).choices[0].message.content == expected
    with system_scope():
        attempts = list(Attempt.objects.order_by("number"))
        assert [a.outcome for a in attempts] == [Attempt.Outcome.FAILED, ""]
        assert Replica.objects.filter(stopped_at=None).count() == 1
    # when nobody calls any more, then it is drained, and nothing has failed
    with system_scope():
        Deployment.objects.filter(model=version.name).update(wanted_until=None)
    eventually(lambda: _serve_job().state == State.CANCELLED)
    assert _deployment(version.name).state == Deployment.State.ASLEEP
    with system_scope():
        assert not Replica.objects.filter(stopped_at=None).exists()
    assert not list((tmp_path / "scratch").iterdir())
    # and the slot's time is accounted for
    worker.drain()
    worker.stop()
    with system_scope():
        assert CostEntry.objects.filter(job_id=_serve_job().id).exists()


def _deployment(model: str) -> Deployment:
    with system_scope():
        return Deployment.objects.get(model=model)


def _serve_job() -> Job:
    with system_scope():
        return Job.objects.get(kind="serve")


def _child(scratch: Path) -> int:
    """The pid of the replica that works in `scratch`."""
    (child,) = [
        process.pid
        for process in psutil.Process().children(recursive=True)
        if "workers.tasks.serve_child" in process.cmdline()
        and Path(process.cwd()).is_relative_to(scratch)
    ]
    return int(child)
