"""Large files are read by workers: the row is the truth, a message only a hint.

A reader claims the oldest dataset that nobody is at, tells how far it is, and writes what it found
while its token is the newest. A reader that dies is missed after READ_LEASE_S, and another one
begins anew: nothing was written, so nothing is there twice.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import structlog
from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from tenants.kernel.errors import BreakwaterError, FencedOut
from tenants.kernel.scope import system_scope, tenant_scope
from workers.assets.datasets import tally
from workers.assets.models import Dataset
from workers.assets.readings import READINGS, Reading, Source
from workers.assets.services.datasets import dataset_conclude, found
from workers.engine.data.problems import Problem
from workers.engine.specs import TabularSpec

log = structlog.get_logger(__name__)
TRIES = 3
MOST_READERS = 10  # one that dies of a file takes its worker's other work along


def datasets_to_read() -> int:
    """How many wait for a reader."""
    with system_scope():
        return int(_waiting().count())


def dataset_read_next() -> str | None:
    """Read the oldest dataset that waits; return its id, or None where none does.

    What goes wrong on our side is tried again, three times in all; what ends its reader each time,
    MOST_READERS times. Raises FencedOut where another reader took over.
    """
    dataset = _claimed()
    if dataset is None:
        return None
    try:
        figures = _figures(dataset)
    except FencedOut:
        raise
    except Exception as error:
        log.exception("dataset.unread", dataset=dataset.id, tries=dataset.read_token)
        if dataset.read_token < TRIES:
            _held(dataset, read_until=Now())
            return str(dataset.id)
        figures = _unreadable(error)
    with tenant_scope(dataset.tenant_id):
        rows = Dataset.objects.select_for_update(of=("self",)).select_related("file")
        row = rows.filter(pk=dataset.pk, read_token=dataset.read_token).first()
        if row is None or row.status != Dataset.Status.VALIDATING:
            raise FencedOut(f"{dataset.id} was read by another")
        dataset_conclude(row, figures)
    return str(dataset.id)


def _waiting() -> Any:
    nobody = Q(read_until__isnull=True) | Q(read_until__lte=Now())
    return Dataset.objects.filter(nobody, status=Dataset.Status.VALIDATING)


def _claimed() -> Dataset | None:
    with system_scope():
        rows = _waiting().order_by("created_at", "id").select_for_update(skip_locked=True)
        dataset: Dataset | None = rows.first()
        if dataset is None:
            return None
        dataset.read_token += 1
        Dataset.objects.filter(pk=dataset.pk).update(
            read_token=dataset.read_token, read_until=_lease_end(), read_bytes=0
        )
        return dataset


def _figures(dataset: Dataset) -> dict[str, Any]:
    if dataset.read_token > MOST_READERS:
        said = f"{MOST_READERS} workers ended while they read it; split it, or ask us."
        return _invalid("no worker could read it", said)
    with tenant_scope(dataset.tenant_id):
        row = Dataset.objects.select_related("file", "base").get(pk=dataset.pk)
        if row.file.deleted_at is not None:
            return _invalid("the file was deleted meanwhile", "upload it again.")
        source, asked = Source(row.file), row.asked
        reading: Reading = READINGS[row.task](
            source,
            row.base,
            TabularSpec.from_dict(asked["tabular"]),
            training=asked["training"],
        )
    tell = source.tell = _NowAndThen(lambda: _progress(dataset, source))
    return found(reading, tally(_told(reading.items(), tell)))


class _NowAndThen:
    """Calls something at most a few times within each lease."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call, self._last = call, time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._last > settings.READ_LEASE_S / 4:
            self._call()
            self._last = time.monotonic()


def _told(items: Iterator[Any], tell: Callable[[], None]) -> Iterator[Any]:
    for item in items:
        tell()
        yield item


def _progress(dataset: Dataset, source: Source) -> None:
    _held(dataset, read_until=_lease_end(), read_bytes=source.read_bytes)


def _held(dataset: Dataset, **fields: Any) -> None:
    """Write to a dataset while it is ours. Raises FencedOut."""
    with system_scope():
        own = Dataset.objects.filter(
            pk=dataset.pk, read_token=dataset.read_token, status=Dataset.Status.VALIDATING
        )
        if not own.update(**fields):
            raise FencedOut(f"{dataset.id} is read by another")


def _lease_end() -> Any:
    return Now() + dt.timedelta(seconds=settings.READ_LEASE_S)


def _unreadable(error: Exception) -> dict[str, Any]:
    reason = error.message if isinstance(error, BreakwaterError) else "it could not be read"
    return _invalid(reason, f"we tried {TRIES} times; upload it again, or ask us.")


def _invalid(reason: str, fix: str) -> dict[str, Any]:
    problem = Problem(0, "file", "unreadable", reason, fix)
    return {
        "status": Dataset.Status.INVALID,
        "problems": [asdict(problem)],
        "problem_count": 1,
    }
