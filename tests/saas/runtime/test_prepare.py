"""What stops a start before anything has started, each with what to do."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from saas.runtime.account import Account, run_as
from saas.runtime.errors import RuntimeFailure
from saas.runtime.layout import Layout, check_free_space
from saas.runtime.ports import free_port
from saas.runtime.prepare import prepare
from tests.saas.runtime.factories import folder_mode


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 64 MB."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root and the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    with pytest.raises(RuntimeFailure) as failure:
        prepare(Layout(small_disk / "var"), port=free_port())
    assert "MB are free" in str(failure.value)
    assert "needs 1000 MB" in str(failure.value)
    assert "VAR=" in str(failure.value)


def test_enough_space_passes(folder: Path) -> None:
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    if free < 2_000_000_000:
        pytest.skip("this machine's own disk is nearly full")
    check_free_space(folder)


def test_an_unwritable_data_folder(folder: Path) -> None:
    # given a file where the folder should be: this stops root too
    (folder / "var").write_text("a file")
    with pytest.raises(RuntimeFailure) as failure:
        prepare(Layout(folder / "var"), port=free_port())
    assert f"the data folder {folder / 'var'} cannot be written" in str(failure.value)
    assert "VAR=" in str(failure.value)


def test_new_secrets_are_never_laid_over_old_data(folder: Path) -> None:
    layout = Layout(folder / "var")
    prepare(layout, port=free_port())
    layout.env_file.unlink()

    with pytest.raises(RuntimeFailure, match="with its passwords and keys is gone"):
        prepare(layout, port=free_port())

    assert not layout.env_file.exists()


def test_half_an_external_database(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://app@db.example/breakwater")
    with pytest.raises(RuntimeFailure) as failure:
        prepare(Layout(folder / "var"), port=free_port())
    assert "DATABASE_OWNER_URL, DATABASE_SYSTEM_URL is not" in str(failure.value)


def test_stores_given_by_the_environment_are_not_embedded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_SYSTEM_URL"):
        monkeypatch.setenv(key, "postgresql://role@db.example/breakwater")
    monkeypatch.setenv("REDIS_URL", "redis://cache.example/0")

    names = [service.name for service in prepare(Layout(folder / "var"), port=free_port()).services]

    assert "migrations" in names
    assert "web" in names
    assert not {"postgres", "redis", "roles"} & set(names)


def test_what_holds_secrets_or_plaintext_is_closed_to_others(folder: Path) -> None:
    layout = Layout(folder / "var")
    prepare(layout, port=free_port())
    for name in ("log", "run", "redis", "scratch"):
        assert folder_mode(layout.var / name) == 0o700, name
    for path in (layout.env_file, layout.superuser_file, layout.redis / "redis.conf"):
        assert folder_mode(path) == 0o600, path


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another account")
def test_another_account_reads_none_of_it(folder: Path) -> None:
    layout = Layout(folder / "var")
    prepare(layout, port=free_port())
    stranger = Account("stranger", 54_321, 54_321)
    for path in (layout.env_file, layout.superuser_file, layout.redis / "redis.conf"):
        assert run_as(stranger, ["/bin/cat", str(path)]).returncode != 0, path
