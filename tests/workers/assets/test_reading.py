"""Large files are read by a worker: nothing is lost when it dies, and nothing is there twice."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tenants.accounts.models import AuditEntry
from tenants.accounts.services import SignedUp
from tenants.kernel.clock import now
from tenants.kernel.errors import FencedOut
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import system_scope, tenant_scope
from tests.tenants.accounts.factories import owner_of, tenant_make
from tests.workers.assets.factories import GOOD, base_make, chat, file_make, jsonl
from workers.assets import reading
from workers.assets.models import BaseModel, Dataset, File
from workers.assets.reading import dataset_read_next, datasets_to_read
from workers.assets.services import dataset_require_valid, dataset_validate, file_delete
from workers.assets.services.datasets import DatasetBeingRead

pytestmark = pytest.mark.django_db
FIGURES = ("examples", "tokens", "loss_tokens", "longest", "duplicates", "format", "problems")


@pytest.fixture(autouse=True)
def base(tmp_path: Path, storage_dir: Path) -> BaseModel:
    return base_make(tmp_path / "base")


@pytest.fixture(autouse=True)
def _all_are_large(settings: Any) -> None:
    settings.READ_AT_ONCE_BYTES = 100


@pytest.fixture
def tenant() -> SignedUp:
    return tenant_make()


def asked(tenant: SignedUp, content: bytes = GOOD) -> Dataset:
    file = file_make(tenant, content)
    with tenant_scope(tenant.tenant.id):
        return dataset_validate(actor=owner_of(tenant), file_id=file.id, base_id="tiny")


def fresh(dataset: Dataset) -> Dataset:
    with system_scope():
        return Dataset.objects.select_related("file").get(pk=dataset.pk)


def told(dataset: Dataset) -> list[tuple[str, Any]]:
    with system_scope():
        events = OutboxEvent.objects.filter(aggregate_id=dataset.pk).order_by("id")
        return [(event.name, event.payload.get("valid")) for event in events]


def test_a_small_file_is_read_at_once_and_a_large_one_later_to_the_same_end(
    tenant: SignedUp, settings: Any
) -> None:
    later = asked(tenant)
    assert (later.status, later.examples) == (Dataset.Status.VALIDATING, 0)
    with pytest.raises(DatasetBeingRead, match="0%") as refused:
        dataset_require_valid(later, param="file")
    assert (refused.value.code, refused.value.status) == ("dataset_validating", 409)
    assert datasets_to_read() == 1

    assert dataset_read_next() == later.id
    assert dataset_read_next() is None
    done = fresh(later)
    dataset_require_valid(done)
    assert (done.read_until, datasets_to_read()) == (None, 0)
    assert done.file.status == File.Status.PROCESSED
    assert told(later) == [("dataset.asked", None), ("dataset.validated", True)]

    settings.READ_AT_ONCE_BYTES = len(GOOD)
    at_once = asked(tenant_make("Other"))
    assert [getattr(at_once, n) for n in FIGURES] == [getattr(done, n) for n in FIGURES]
    assert told(at_once) == [("dataset.validated", True)]


def test_what_is_wrong_is_named_by_line(tenant: SignedUp) -> None:
    dataset = asked(tenant, GOOD + b"not json\n")
    dataset_read_next()
    done = fresh(dataset)
    assert (done.status, done.problems[0]["line"]) == (Dataset.Status.INVALID, 11)
    assert "line 11" in done.file.status_details
    assert told(dataset)[-1] == ("dataset.validated", False)


def test_asking_again_reads_once(tenant: SignedUp) -> None:
    file = file_make(tenant)
    with tenant_scope(tenant.tenant.id):
        pair = [
            dataset_validate(actor=owner_of(tenant), file_id=file.id, base_id="tiny")
            for _ in range(2)
        ]
        trail = AuditEntry.objects.filter(action="dataset.validate").count()
    assert pair[0] == pair[1]
    assert (trail, datasets_to_read()) == (1, 1)


def test_how_far_it_is_is_told_while_it_is_read(
    tenant: SignedUp, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.READ_LEASE_S = 0.0  # tell at each row
    seen: list[int] = []
    held = reading._held

    def noted(dataset: Dataset, **fields: Any) -> None:
        held(dataset, **fields)
        seen.append(fresh(dataset).read_bytes)

    monkeypatch.setattr(reading, "_held", noted)
    rows = jsonl(chat(f"Question {n}?", "Because. " * 40) for n in range(600))
    dataset = asked(tenant, rows)
    dataset_read_next()
    assert seen == sorted(seen)
    assert len(set(seen)) > 2
    assert seen[-1] == fresh(dataset).file.bytes


def test_a_late_reader_writes_nothing(tenant: SignedUp, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = asked(tenant)
    figures = reading._figures

    def slow(mine: Dataset) -> dict[str, Any]:
        found = figures(mine)
        with system_scope():  # its lease ends meanwhile, and another one reads
            Dataset.objects.update(read_until=now() - dt.timedelta(seconds=1))
        monkeypatch.setattr(reading, "_figures", figures)
        assert dataset_read_next() == dataset.id
        return found

    monkeypatch.setattr(reading, "_figures", slow)
    with pytest.raises(FencedOut):
        dataset_read_next()
    assert fresh(dataset).status == Dataset.Status.VALID
    assert told(dataset) == [("dataset.asked", None), ("dataset.validated", True)]


def test_our_failures_are_tried_again_and_then_said(
    tenant: SignedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Dataset) -> dict[str, Any]:
        raise OSError("the disk is gone")

    figures = reading._figures
    monkeypatch.setattr(reading, "_figures", broken)
    once, often = asked(tenant), asked(tenant, GOOD + GOOD)
    dataset_read_next()
    monkeypatch.setattr(reading, "_figures", figures)
    assert dataset_read_next() == once.id  # nobody waits for its lease to end
    assert fresh(once).status == Dataset.Status.VALID

    monkeypatch.setattr(reading, "_figures", broken)
    for _ in range(reading.TRIES):
        assert fresh(often).status == Dataset.Status.VALIDATING
        dataset_read_next()
    done = fresh(often)
    assert (done.status, done.problem_count) == (Dataset.Status.INVALID, 1)
    assert "we tried 3 times" in done.file.status_details


def test_a_file_that_ends_each_of_its_readers_is_given_up(tenant: SignedUp) -> None:
    dataset = asked(tenant)
    for _ in range(reading.MOST_READERS):
        with system_scope():
            assert reading._claimed() is not None  # and nothing more is heard of this reader
            Dataset.objects.update(read_until=now() - dt.timedelta(seconds=1))
    assert dataset_read_next() == dataset.id
    done = fresh(dataset)
    assert (done.status, datasets_to_read()) == (Dataset.Status.INVALID, 0)
    assert "10 workers ended" in done.problems[0]["fix"]


def test_a_file_deleted_meanwhile_is_said(tenant: SignedUp) -> None:
    dataset = asked(tenant)
    with tenant_scope(tenant.tenant.id):
        file_delete(actor=owner_of(tenant), file_id=dataset.file_id)
    dataset_read_next()
    assert "deleted" in fresh(dataset).problems[0]["reason"]


KILLED = """
import os, signal, django
django.setup()
from workers.assets import reading
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
reading.dataset_conclude = die  # the whole file is read, and nothing is written yet
reading.dataset_read_next()
"""


def test_a_reader_that_is_killed_loses_nothing(tenant: SignedUp, storage_dir: Path) -> None:
    """kill -9 between the reading and the writing: when its lease ends, another one reads."""
    dataset = asked(tenant)
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "saas.settings",
        "STORAGE_DIR": str(storage_dir),
        "READ_LEASE_S": "2",
    }
    dead = subprocess.run([sys.executable, "-c", KILLED], env=environment, check=False, timeout=60)
    assert dead.returncode == -signal.SIGKILL
    row = fresh(dataset)
    assert (row.status, row.read_token) == (Dataset.Status.VALIDATING, 1)
    assert datasets_to_read() == 0

    until = time.monotonic() + 10
    while not datasets_to_read():
        assert time.monotonic() < until
        time.sleep(0.05)
    assert dataset_read_next() == dataset.id
    assert fresh(dataset).examples == 10
    assert told(dataset) == [("dataset.asked", None), ("dataset.validated", True)]
