"""The hourly meters: stored bytes and ready time, each hour once, however late or often counted."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connections

from tenants.accounts.actors import system_actor
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.usage.models import UsageEvent
from tests.workers.serving.factories import Customer, copied, customer, text_base, version_of
from workers.assets.models import File
from workers.serving.metering import HOUR, deployments_meter, storage_meter
from workers.serving.models import Deployment, MeterWatermark, ReadySpan
from workers.serving.moves import deployment_move
from workers.serving.services import deployment_create, deployment_delete, deployment_sleep

pytestmark = pytest.mark.django_db

START = dt.datetime(2026, 3, 31, 22, tzinfo=dt.UTC)
GB = 10**9


def begun(meter: str, at: dt.datetime = START) -> None:
    with system_scope():
        MeterWatermark.objects.create(meter=meter, until=at)


def stored(
    owner: Customer, size: int, since: float, until: float | None = None, key: str = ""
) -> None:
    """A file of `size` bytes, from `since` to `until` hours after the start."""
    with system_scope():
        File.objects.create(
            id=new_id("file-"), tenant_id=owner.tenant_id, filename="a", purpose="fine-tune",
            media_type="x", bytes=size, sha256="0" * 64, storage_key=key or new_id("k_"),
            created_at=START + since * HOUR,
            deleted_at=None if until is None else START + until * HOUR,
        )  # fmt: skip


def counted(owner: Customer, meter: str = "storage.gb_hours") -> dict[str, Decimal]:
    with system_scope():
        rows = UsageEvent.objects.filter(tenant_id=owner.tenant_id, meter=meter)
        return {row.key.rsplit(":", 1)[1]: row.quantity.normalize() for row in rows}


def test_stored_bytes_count_for_the_time_they_were_held() -> None:
    acme, other = customer("Acme"), customer("Other")
    begun("storage.gb_hours")
    stored(acme, 3 * GB, since=-5)
    stored(acme, GB, since=0.25, until=1.5)
    stored(other, 7, since=1)

    storage_meter(at=START + 2 * HOUR + dt.timedelta(minutes=6))

    assert counted(acme) == {
        "2026-03-31T22": Decimal("3.75"),
        "2026-03-31T23": Decimal("3.5"),
    }
    assert counted(other) == {"2026-03-31T23": Decimal("0.000000007")}


def test_equal_content_is_counted_once_and_a_gap_is_not_counted() -> None:
    acme = customer()
    begun("storage.gb_hours")
    stored(acme, 2 * GB, since=0, until=0.25, key="same")
    stored(acme, 2 * GB, since=0, until=0.25, key="same")
    stored(acme, 2 * GB, since=0.75, key="same")

    storage_meter(at=START + 1.5 * HOUR)

    assert counted(acme) == {"2026-03-31T22": Decimal(1)}


def test_an_hour_is_counted_when_it_has_ended_and_once() -> None:
    acme = customer()
    begun("storage.gb_hours")
    stored(acme, GB, since=0)

    assert storage_meter(at=START + HOUR) == 0  # a transaction of that hour may still commit
    assert storage_meter(at=START + 1.2 * HOUR) == 1
    assert storage_meter(at=START + 1.2 * HOUR) == 0
    assert counted(acme) == {"2026-03-31T22": Decimal(1)}


def test_hours_that_were_missed_are_caught_up_each_in_its_own_month() -> None:
    acme = customer()
    begun("storage.gb_hours")
    stored(acme, GB, since=0)

    storage_meter(at=START + 60.5 * HOUR)

    assert len(counted(acme)) == 60
    with system_scope():
        months = [row.event_time.month for row in UsageEvent.objects.all()]
    assert (months.count(3), months.count(4)) == (2, 58)


def test_at_the_same_time_each_hour_is_still_counted_once() -> None:
    acme = customer()
    begun("storage.gb_hours")
    stored(acme, GB, since=0)
    found: list[int] = []

    def run() -> None:
        try:
            found.append(storage_meter(at=START + 30 * HOUR))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == [0, 0, 0, 0, 0, 29]
    assert len(counted(acme)) == 29


def test_a_meter_begins_with_the_hour_it_is_born_in() -> None:
    acme = customer()
    stored(acme, GB, since=-1000)

    storage_meter(at=START + 0.5 * HOUR)
    storage_meter(at=START + 1.5 * HOUR)

    assert list(counted(acme)) == ["2026-03-31T22"]


def test_ready_time_follows_the_deployments_state(tiny: Path, tmp_path: Path) -> None:
    acme = customer()
    version = version_of(acme, text_base(tiny), copied(tiny, tmp_path / "v"), kind="full")
    with tenant_scope(acme.tenant_id):
        row = deployment_create(actor=system_actor(acme.tenant_id), model=version.name)
        deployment_move(row, Deployment.State.WAKING)
        deployment_move(row, Deployment.State.READY)
        deployment_move(row, Deployment.State.READY)
        deployment_sleep(actor=acme.actor, deployment_id=row.id)
        row.refresh_from_db()
        deployment_move(row, Deployment.State.READY)
        deployment_delete(actor=acme.actor, deployment_id=row.id)
        spans = list(ReadySpan.objects.order_by("id"))

    assert [span.deployment_id for span in spans] == [row.id] * 2
    assert all(span.ended_at and span.ended_at >= span.started_at for span in spans)


def test_ready_time_is_counted_by_the_hour(tiny: Path, tmp_path: Path) -> None:
    acme = customer()
    version = version_of(acme, text_base(tiny), copied(tiny, tmp_path / "v"), kind="full")
    begun("deployment.hours")
    with tenant_scope(acme.tenant_id):
        row = deployment_create(actor=system_actor(acme.tenant_id), model=version.name)
        for since, until in ((-3, 0.5), (0.75, 1.25), (1.5, None)):
            ReadySpan.objects.create(
                deployment=row,
                started_at=START + since * HOUR,
                ended_at=None if until is None else START + until * HOUR,
            )

    deployments_meter(at=START + 3.2 * HOUR)

    assert counted(acme, "deployment.hours") == {
        "2026-03-31T22": Decimal("0.75"),
        "2026-03-31T23": Decimal("0.75"),
        "2026-04-01T00": Decimal(1),
    }
    with system_scope():
        event = UsageEvent.objects.first()
    assert event is not None
    assert event.dimensions == {"model": version.name, "base": "tiny", "deployment_id": row.id}
