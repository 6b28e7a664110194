"""What is over goes, and nothing else."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path

import pytest
from django.conf import settings

from tenants.accounts.models import AuditEntry
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tests.tenants.accounts.factories import tenant_make
from tests.workers.assets.factories import (
    GOOD,
    adapter_folder,
    base_make,
    data_key_of,
    file_make,
    version_make,
)
from tests.workers.assets.test_files import delete, read, stored_objects
from workers.assets.models import File
from workers.assets.retention import (
    ORPHAN_AGE,
    files_expire,
    files_purge,
    orphans_purge,
)
from workers.assets.storage import object_key, object_write

HOUR = dt.timedelta(hours=1)


@pytest.mark.django_db
@pytest.mark.usefixtures("storage_dir")
class TestObjects:
    def test_files_past_their_time_are_deleted_with_a_trace_and_then_purged(self) -> None:
        tenant = tenant_make()
        old = file_make(tenant, b'{"text": "old"}', expires_at=now() + HOUR)
        young = file_make(tenant, b'{"text": "young"}', expires_at=now() + HOUR)
        with system_scope():
            File.objects.filter(pk=old.pk).update(expires_at=now() - HOUR)

        assert (files_expire(), files_expire()) == (1, 0)
        assert files_purge() == 1
        assert read(young) == b'{"text": "young"}'
        with system_scope():
            entry = AuditEntry.objects.get(action="file.delete")
        assert (entry.actor_kind, entry.target) == ("system", old.id)

    def test_a_purge_that_died_half_way_is_finished_by_the_next(self) -> None:
        """The bytes went, the row did not say so yet."""
        tenant = tenant_make()
        file = file_make(tenant)
        delete(tenant, file.id)
        (lost,) = stored_objects()
        lost.unlink()

        assert files_purge() == 1

    def test_only_old_objects_that_no_row_names_are_orphans(self, tmp_path: Path) -> None:
        tenant, other = tenant_make(), tenant_make("Other")
        kept = file_make(tenant)
        version = version_make(tenant, base_make(tmp_path / "b"), adapter_folder(tmp_path / "a"))
        old = [lose_object(tenant.tenant.id, data_key_of(tenant), a) for a in ("files", "parts")]
        old.append(lose_object(other.tenant.id, data_key_of(other), "versions"))
        make_old(*stored_objects())
        fresh = lose_object(tenant.tenant.id, data_key_of(tenant), "versions")

        assert (orphans_purge(), read(kept)) == (3, GOOD)
        left = {str(path.relative_to(settings.STORAGE_DIR)) for path in stored_objects()}
        assert {kept.storage_key, version.storage_key, fresh} == left
        assert not set(old) & left

    def test_an_empty_storage_has_no_orphans(self) -> None:
        assert orphans_purge() == 0


def lose_object(tenant_id: str, data_key: bytes, area: str) -> str:
    """As a crash does between the object and its row."""
    key = object_key(tenant_id, area)
    return object_write(tenant_id=tenant_id, key=key, chunks=[b"x"], data_key=data_key).key


def make_old(*paths: Path) -> None:
    past = time.time() - ORPHAN_AGE.total_seconds() - 60
    for path in paths:
        os.utime(path, (past, past))
