"""Files: checked while they stream in, stored once, gone when deleted."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from django.test import override_settings

from tenants.accounts.roles import Role
from tenants.kernel.crypto import data_key_destroy
from tenants.kernel.errors import InvalidInput, NotFound, PermissionDenied, TooLarge
from tenants.kernel.scope import system_scope, tenant_scope
from tests.tenants.accounts.factories import member_make, owner_of, tenant_make
from tests.workers.assets.factories import GOOD, file_make
from workers.assets.models import File
from workers.assets.retention import files_purge
from workers.assets.selectors import file_chunks, file_get, files_visible
from workers.assets.services import file_create, file_delete
from workers.assets.storage import ObjectMissing

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage_dir")]


def read(file: File) -> bytes:
    with tenant_scope(file.tenant_id):
        chunks = file_chunks(file)
    return b"".join(chunks)  # after the scope, as a download does


def stored_objects() -> list[Path]:
    root = Path(settings.STORAGE_DIR)
    return [path for path in root.rglob("*") if path.is_file()] if root.is_dir() else []


def test_a_file_comes_back_as_it_went_in() -> None:
    tenant = tenant_make()
    file = file_make(tenant, filename="dir/Data.jsonl")

    assert (file.filename, file.bytes) == ("Data.jsonl", len(GOOD))
    assert (file.sha256, file.media_type) == (hashlib.sha256(GOOD).hexdigest(), "application/jsonl")
    assert file.status == File.Status.UPLOADED
    assert read(file) == GOOD
    with tenant_scope(tenant.tenant.id):
        assert file_get(file.id) == file
        assert list(files_visible()) == [file]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"filename": "../.."}, "file"),
        ({"filename": "a\x00b"}, "file"),
        ({"filename": "x" * 300}, "file"),
        ({"purpose": "world-domination"}, "purpose"),
        ({"content": b""}, "file"),
        ({"content": b"\x80\x04pickled"}, "file"),
        ({"content": b"\x1f\x8bzipped"}, "file"),
        ({"content": b'{"text": "\xff"}'}, "file"),
    ],
)
def test_bad_input_names_its_field_and_leaves_nothing(change: dict[str, Any], param: str) -> None:
    tenant = tenant_make()

    with pytest.raises(InvalidInput) as refused:
        file_make(tenant, **change)

    assert refused.value.param == param
    assert stored_objects() == []
    with system_scope():
        assert not File.objects.exists()


@pytest.mark.parametrize(
    ("given", "filename", "kept"),
    [
        ("text/csv", "x.jsonl", "text/csv"),
        ("", "x.csv", "text/csv"),
        ("not a type", "x.jsonl", "application/jsonl"),
        ("a/" + "b" * 200, "x.unknown-ending", "application/octet-stream"),
        ("text/html\r\nx: y", "x.txt", "text/plain"),
    ],
)
def test_the_media_type_is_one(given: str, filename: str, kept: str) -> None:
    file = file_make(tenant_make(), media_type=given, filename=filename, purpose="user_data")

    assert file.media_type == kept


def test_limits_hold_for_a_file_and_for_all_of_them() -> None:
    tenant = tenant_make()
    with override_settings(MAX_FILE_BYTES=len(GOOD) - 1), pytest.raises(TooLarge):
        file_make(tenant)
    with override_settings(MAX_TENANT_BYTES=2 * len(GOOD)):
        file_make(tenant, GOOD)
        file_make(tenant, GOOD.swapcase())
        with pytest.raises(TooLarge) as refused:
            file_make(tenant, b"x")
        assert refused.value.code == "storage_quota_exceeded"
        file_make(tenant_make("Other"), b"x")
    assert len(stored_objects()) == 3


def test_equal_content_of_one_tenant_is_stored_once() -> None:
    tenant = tenant_make()
    one, two = file_make(tenant), file_make(tenant, filename="again.jsonl")

    assert one.id != two.id
    assert one.storage_key == two.storage_key
    assert len(stored_objects()) == 1
    assert read(one) == read(two) == GOOD


def test_equal_content_of_two_tenants_is_stored_twice() -> None:
    """Or one could learn, by time or size, what the other has."""
    one, two = file_make(tenant_make()), file_make(tenant_make("Other"))

    assert one.storage_key != two.storage_key
    assert len(stored_objects()) == 2


def test_bytes_stay_while_an_equal_file_needs_them_and_go_with_the_last() -> None:
    tenant = tenant_make()
    one, two = file_make(tenant), file_make(tenant)
    delete(tenant, one.id)

    assert files_purge() == 0
    assert read(two) == GOOD

    delete(tenant, two.id)
    assert files_purge() == 2
    assert files_purge() == 0
    assert stored_objects() == []


def test_a_deleted_file_is_gone_at_once_and_its_content_may_come_again() -> None:
    tenant = tenant_make()
    file = file_make(tenant)
    delete(tenant, file.id)

    with tenant_scope(tenant.tenant.id):
        assert not files_visible().exists()
        for look in (
            lambda: file_get(file.id),
            lambda: file_delete(actor=owner_of(tenant), file_id=file.id),
        ):
            with pytest.raises(NotFound):
                look()
    again = file_make(tenant)
    assert again.storage_key != file.storage_key
    files_purge()
    assert read(again) == GOOD


def test_equal_uploads_at_once_are_stored_once_and_a_deletion_between_loses_nothing() -> None:
    """Four uploads of one content beside a deletion of it, ten times over."""
    tenant = tenant_make()
    for round_ in range(10):
        content = GOOD + b" " * (round_ + 1)
        first = file_make(tenant, content)
        made: list[File] = []

        def upload(content: bytes = content, made: list[File] = made) -> None:
            made.append(file_make(tenant, content))

        def remove(file_id: str = first.id) -> None:
            delete(tenant, file_id)
            files_purge()

        at_once(upload, upload, remove, upload, upload)
        files_purge()

        assert len(made) == 4
        assert {read(file) for file in made} == {content}
        assert len({file.storage_key for file in made}) <= 2
    with system_scope():
        live = set(File.objects.filter(deleted_at=None).values_list("storage_key", flat=True))
    assert len(stored_objects()) == len(live)


def test_another_tenants_file_is_not_there() -> None:
    victim, thief = tenant_make("Victim"), tenant_make("Thief")
    file = file_make(victim)

    with tenant_scope(thief.tenant.id):
        for look in (
            lambda: file_get(file.id),
            lambda: file_delete(actor=owner_of(thief), file_id=file.id),
            lambda: file_chunks(file),
        ):
            with pytest.raises(NotFound):
                look()
    assert read(file) == GOOD


def test_roles_decide_who_uploads_and_deletes() -> None:
    tenant = tenant_make()
    file = file_make(tenant)
    _, viewer = member_make(tenant, Role.VIEWER)
    with tenant_scope(tenant.tenant.id):
        with pytest.raises(PermissionDenied):
            file_create(actor=viewer, filename="a", purpose="fine-tune", chunks=[GOOD])
        with pytest.raises(PermissionDenied):
            file_delete(actor=viewer, file_id=file.id)


def test_a_destroyed_data_key_erases_every_file() -> None:
    tenant = tenant_make()
    file = file_make(tenant)
    with system_scope():
        data_key_destroy(tenant_id=tenant.tenant.id)

    with pytest.raises(NotFound) as refused:
        read(file)
    assert refused.value.code == "data_erased"


def test_lost_bytes_are_said_before_the_download_begins() -> None:
    file = file_make(tenant_make())
    (lost,) = stored_objects()
    lost.unlink()

    with tenant_scope(file.tenant_id), pytest.raises(ObjectMissing):
        file_chunks(file)


def delete(tenant: Any, file_id: str) -> None:
    with tenant_scope(tenant.tenant.id):
        file_delete(actor=owner_of(tenant), file_id=file_id)


def at_once(*acts: Any) -> None:
    start, errors = threading.Barrier(len(acts)), []

    def run(act: Any) -> None:
        try:
            start.wait(20)
            act()
        except Exception as error:  # noqa: BLE001 -- raised below, in the test's own thread
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
