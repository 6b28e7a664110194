"""Folders that are whole or absent: filled beside their place, listed by hash, flushed, renamed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workers.engine.errors import SnapshotError

MANIFEST = "manifest.json"


def file_sha256(path: Path) -> str:
    """The file's SHA-256, hexadecimal, read in pieces."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """SHA-256 over sorted names, sizes and hashes of all files under `folder` but its manifest."""
    return _digest(folder_files(folder))


def folder_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of every file under `folder` but its manifest, by relative name."""
    names = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)
    return {
        p.relative_to(folder).as_posix(): {"size": p.stat().st_size, "sha256": file_sha256(p)}
        for p in names
    }


def _digest(files: dict[str, dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder to fill, which becomes `target` on success.

    An earlier `target` goes first. The folder gets its manifest and is flushed to disk before it is
    renamed; after an exception nothing stays.
    """
    temporary = target.with_name(target.name + ".tmp")
    for stale in (temporary, target):
        shutil.rmtree(stale, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        manifest = {"version": 1, "files": folder_files(temporary)}
        (temporary / MANIFEST).write_text(json.dumps(manifest, sort_keys=True, indent=1))
        _flush(temporary)
        temporary.rename(target)
        _fsync(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        _fsync(path)
    _fsync(folder)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def folder_verify(folder: Path) -> None:
    """Compare every file with the manifest.

    Raises:
        SnapshotError: the manifest or a file is missing, torn, altered or surplus.
    """
    try:
        listed = json.loads((folder / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SnapshotError(
            f"{folder.name} has no readable {MANIFEST} ({error}); resume from an earlier snapshot."
        ) from error
    found = folder_files(folder)
    for name in sorted(set(listed) | set(found)):
        if listed.get(name) != found.get(name):
            raise SnapshotError(
                f"{folder.name}/{name} differs from its manifest (listed {listed.get(name)}, found "
                f"{found.get(name)}); it is torn or altered: resume from an earlier snapshot."
            )
