"""Objects at rest: sealed, whole or absent, and the tenant's own."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenants.kernel.crypto import DecryptionError
from tenants.kernel.errors import Unavailable
from workers.assets import backends
from workers.assets.storage import (
    ObjectMissing,
    folder_read,
    folder_write,
    object_delete,
    object_key,
    object_read,
    object_write,
)

TENANT, KEY = "ten_a", bytes(range(32))
ROOT_SETTING = "workers.assets.backends.DurableFileSystemStorage"


@pytest.fixture(params=["local folder", "another backend"], autouse=True)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Our local folder, and a backend of Django's own: the code asks for the storages API only."""
    local = {"BACKEND": ROOT_SETTING, "OPTIONS": {"location": str(tmp_path)}}
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    storages = {"default": local if request.param == "local folder" else memory}
    with override_settings(STORAGES=storages):
        yield tmp_path


def write(content: bytes, key: str = f"{TENANT}/files/a") -> str:
    return object_write(tenant_id=TENANT, key=key, chunks=[content], data_key=KEY).key


def read(key: str, data_key: bytes = KEY) -> bytes:
    return b"".join(object_read(tenant_id=TENANT, key=key, data_key=data_key))


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pieces=st.lists(st.binary(max_size=200_000), max_size=5))
def test_what_is_written_is_read_back_and_counted(pieces: list[bytes]) -> None:
    plain = b"".join(pieces)
    stored = object_write(
        tenant_id=TENANT, key=object_key(TENANT, "files"), chunks=pieces, data_key=KEY
    )

    assert read(stored.key) == plain
    assert (stored.bytes, stored.sha256) == (len(plain), hashlib.sha256(plain).hexdigest())


def test_the_bytes_at_rest_tell_nothing() -> None:
    secret = b"the customer's secret " * 100
    key = write(secret)
    with default_storage.open(key) as raw:
        at_rest = raw.read()

    assert secret[:20] not in at_rest
    assert len(at_rest) > len(secret)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(DecryptionError):
        read(write(b"secret"), os.urandom(32))


def test_keys_belong_to_their_tenant() -> None:
    for key in ("ten_b/files/a", "ten_ab/files/a", "files/a", ""):
        with pytest.raises(ValueError, match="does not belong"):
            object_write(tenant_id=TENANT, key=key, chunks=[b"x"], data_key=KEY)
        with pytest.raises(ValueError, match="does not belong"):
            object_read(tenant_id=TENANT, key=key, data_key=KEY)


def test_a_key_never_leaves_the_storage() -> None:
    from django.core.exceptions import SuspiciousFileOperation

    for key in (f"{TENANT}/../../evil", f"{TENANT}/../ten_b/files/a"):
        with pytest.raises(SuspiciousFileOperation):
            object_write(tenant_id=TENANT, key=key, chunks=[b"x"], data_key=KEY)


def test_a_missing_object_is_said_at_once() -> None:
    with pytest.raises(ObjectMissing):
        object_read(tenant_id=TENANT, key=f"{TENANT}/files/none", data_key=KEY)


def test_deleting_twice_is_no_error() -> None:
    key = write(b"x")
    object_delete(key=key)
    object_delete(key=key)

    with pytest.raises(ObjectMissing):
        read(key)


def test_a_source_that_fails_leaves_nothing_readable(root: Path) -> None:
    def failing() -> Iterator[bytes]:
        yield bytes(300_000)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        object_write(tenant_id=TENANT, key=f"{TENANT}/files/a", chunks=failing(), data_key=KEY)

    with pytest.raises((ObjectMissing, DecryptionError)):
        read(f"{TENANT}/files/a")
    assert [p for p in root.rglob("*") if p.is_file()] == []


def test_folders_come_back_and_are_deterministic(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "a.bin").write_bytes(os.urandom(100_000))
    (source / "b.txt").write_text("b")
    first = folder_write(tenant_id=TENANT, key=f"{TENANT}/versions/1", folder=source, data_key=KEY)
    again = folder_write(tenant_id=TENANT, key=f"{TENANT}/versions/2", folder=source, data_key=KEY)
    folder_read(tenant_id=TENANT, key=first.key, into=tmp_path / "out", data_key=KEY)

    assert first.sha256 == again.sha256
    assert (tmp_path / "out/deep/a.bin").read_bytes() == (source / "deep/a.bin").read_bytes()
    assert (tmp_path / "out/b.txt").read_text() == "b"


@pytest.mark.parametrize("root", ["local folder"], indirect=True)
class TestTheLocalFolder:
    def test_a_full_disk_is_said_and_leaves_nothing(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(handle: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(backends.os, "fsync", full)
        with pytest.raises(Unavailable) as refused:
            write(b"x")

        assert refused.value.code == "storage_full"
        assert [p for p in root.rglob("*") if p.is_file()] == []

    def test_an_object_is_replaced_whole(self, root: Path) -> None:
        """A reader of the old one reads it to its end; nobody ever sees a mixture."""
        old, new = bytes(200_000), os.urandom(100)
        key = write(old)
        reading = object_read(tenant_id=TENANT, key=key, data_key=KEY)
        first = next(reading)
        write(new)

        assert first + b"".join(reading) == old
        assert read(key) == new

    def test_nothing_is_visible_before_it_is_whole(self, root: Path) -> None:
        seen: list[list[str]] = []

        def watching() -> Iterator[bytes]:
            yield bytes(300_000)
            seen.append([p.name for p in root.rglob("*") if p.is_file() and p.suffix != ".tmp"])
            yield bytes(300_000)

        object_write(tenant_id=TENANT, key=f"{TENANT}/files/a", chunks=watching(), data_key=KEY)
        assert seen == [[]]

    def test_everything_is_flushed_before_the_rename_and_the_folders_after(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[str] = []
        real_fsync, real_replace = os.fsync, Path.replace

        def fsync(handle: int) -> None:
            calls.append(Path(f"/proc/self/fd/{handle}").readlink().name)
            real_fsync(handle)

        def replace(self: Path, target: Path) -> Path:
            calls.append("rename")
            return real_replace(self, target)

        monkeypatch.setattr(backends.os, "fsync", fsync)
        monkeypatch.setattr(Path, "replace", replace)
        write(b"x")

        assert calls[0].endswith(".tmp")
        assert calls[1:] == ["rename", "files", TENANT, root.name]

    def test_objects_are_their_owners_alone(self, root: Path) -> None:
        assert (root / write(b"x")).stat().st_mode & 0o077 == 0
