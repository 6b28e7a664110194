"""The relay: events reach their handlers, also after its connections were cut."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connections

from tenants.kernel.events import Event
from tenants.kernel.models import OutboxEvent
from tenants.kernel.outbox import HandlerTable, Subscription
from tenants.kernel.scope import system_scope
from tests.workers.jobs.factories import make_tenant, queued_job
from tests.workers.tasks.factories import until
from workers.jobs.events import JobQueued
from workers.tasks.relay import relay

pytestmark = pytest.mark.django_db


class Heard:
    """Handlers that remember what they were told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.fail = 0

    def __call__(self, event: Event) -> None:
        if self.fail:
            self.fail -= 1
            raise ConnectionError("the broker is away")
        self.events.append(event)

    @property
    def jobs(self) -> list[str]:
        return [event.job_id for event in self.events if isinstance(event, JobQueued)]


def undelivered() -> bool:
    with system_scope():
        return bool(OutboxEvent.objects.filter(delivered_at=None).exists())


@pytest.fixture
def heard() -> Iterator[Heard]:
    heard, stop = Heard(), threading.Event()
    table: HandlerTable = {JobQueued: (Subscription("test.heard", heard),)}

    def run() -> None:
        relay(table, stop=stop)
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    yield heard
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_an_event_is_heard_once_and_at_once(heard: Heard) -> None:
    queued_job(make_tenant())
    until(lambda: heard.jobs, timeout=10, what="the first event")
    began = time.monotonic()
    job = queued_job(make_tenant())
    until(lambda: job.id in heard.jobs, timeout=10, what="the event")
    assert time.monotonic() - began < 0.9  # woken, not polled
    until(lambda: not undelivered(), timeout=10, what="the delivery's commit")
    assert len(heard.jobs) == 2


def test_a_relay_whose_connections_were_cut_goes_on(heard: Heard) -> None:
    job = queued_job(make_tenant())
    until(lambda: heard.jobs and not undelivered(), timeout=10, what="the first event")
    with connections["system"].cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE usename = current_user AND pid <> pg_backend_pid()"
        )
    second = queued_job(make_tenant())
    until(lambda: heard.jobs == [job.id, second.id], timeout=20, what="the second event")


def test_a_broker_that_is_away_is_tried_again(heard: Heard) -> None:
    heard.fail = 1
    job = queued_job(make_tenant())
    until(lambda: heard.jobs == [job.id], timeout=20, what="the event's second try")
