"""The demo stops where slot time or shares do not add up."""

from __future__ import annotations

import datetime as dt

import pytest

from saas.demo.identities import DemoFailed
from saas.demo.narration import Narration
from saas.demo.operator import conserved
from tenants.costs.services import slot_time_record
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tests.tenants.costs.factories import resource_make, slot_time
from tests.workers.jobs.factories import make_worker
from workers.jobs.models import Worker

pytestmark = pytest.mark.django_db


def lived(seconds: float, told: float) -> None:
    """A worker of one slot that lived so long and accounted for so much, a third of it work."""
    worker, end = make_worker(slots=1), now()
    begin = end - dt.timedelta(seconds=seconds)
    resource = resource_make((begin - dt.timedelta(days=1), "0.000123456789"))
    parts = [("job", 0.0, told / 3), ("idle", told / 3, told - 60), ("idle", seconds - 60, seconds)]
    with system_scope():
        Worker.objects.filter(pk=worker.pk).update(started_at=begin, heartbeat_at=end)
        slot_time_record(
            entries=[
                slot_time(0, 0, resource=resource, worker=worker.id, purpose=purpose,
                          started_at=begin + dt.timedelta(seconds=start),
                          ended_at=begin + dt.timedelta(seconds=stop))
                for purpose, start, stop in parts
            ]
        )  # fmt: skip


def test_books_that_add_up_are_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    lived(1000, told=1000)
    conserved(Narration())
    told = capsys.readouterr().out
    assert "within 0.000%" in told
    assert "to the last decimal" in told


def test_lost_slot_time_stops_the_demo() -> None:
    lived(1000, told=990)
    with pytest.raises(DemoFailed, match="slot time is off by"):
        conserved(Narration())


def test_without_workers_there_is_nothing_to_show() -> None:
    with pytest.raises(DemoFailed):
        conserved(Narration())
