"""Celery's side: queues that do not mix, hints that name no job, control work that stays short."""

from __future__ import annotations

import pytest

from saas.celery import app
from workers.jobs.kinds import CONTROL, KINDS, QUEUES, REVIEW, WORKER_CLASSES
from workers.tasks import process_wide, tasks
from workers.tasks.hints import RECONCILE, WORK_AVAILABLE


def test_every_queue_has_a_key_of_its_own() -> None:
    keys = {queue.name: queue.routing_key for queue in app.conf.task_queues}
    assert keys == {name: name for name in (*QUEUES, CONTROL, REVIEW)}
    assert len({queue.exchange.name for queue in app.conf.task_queues}) == 1


def test_every_kind_of_job_has_its_queues() -> None:
    for rules in KINDS.values():
        assert {f"{rules.family}.{device}" for device in WORKER_CLASSES} <= set(QUEUES)


def test_periodic_work_exists_lapses_and_goes_to_control() -> None:
    app.loader.import_default_modules()
    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in app.tasks
        assert entry["options"]["queue"] == CONTROL
        assert entry["schedule"] < entry["options"]["expires"] < entry["schedule"] * 10
    assert {WORK_AVAILABLE, RECONCILE} <= set(app.tasks)


def test_long_work_is_acknowledged_early_and_short_work_late() -> None:
    assert not tasks.work_available.acks_late
    assert all(task.acks_late for task in (tasks.reap, tasks.hint, tasks.sweep, tasks.orphans))


def test_outside_of_a_worker_nothing_is_supervised() -> None:
    with pytest.raises(RuntimeError, match="no Celery worker"):
        process_wide.worker()
