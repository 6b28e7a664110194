"""Folders, object storage, and the catalogue's base models."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages

from saas.doctor.findings import Finding, failed, good, warning
from tenants.kernel.errors import BreakwaterError
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from workers.assets.models import BaseModel
from workers.assets.services.base_models import base_model_verify

GB = 1_000_000_000
LEAST_FREE, ENOUGH_FREE = GB, 5 * GB


def folders_check() -> Iterator[Finding]:
    """The folders can be written, scratch is private, and the disk has room."""
    folders = {"models": settings.MODELS_DIR, "scratch": settings.SCRATCH_DIR}
    for name, folder in folders.items():
        if not _writable(_nearest(folder)):
            yield failed(
                f"{name} folder", f"{folder} cannot be written", "give this user the right"
            )
            return
    scratch: Path = settings.SCRATCH_DIR
    if scratch.is_dir() and scratch.stat().st_mode & 0o077:
        yield warning(
            "scratch folder",
            f"others can look into {scratch}, where jobs keep plaintext",
            f"run: chmod 700 {scratch}",
        )
    yield _room(_nearest(scratch))


def storage_check() -> Iterator[Finding]:
    """What is stored comes back as it was."""
    content = os.urandom(1024)
    name = default_storage.save(f"doctor/{new_id('probe_')}", ContentFile(content))
    try:
        with default_storage.open(name) as stream:
            same = stream.read() == content
    finally:
        default_storage.delete(name)
    where = storage_name().rpartition(".")[2]
    if same:
        yield good("storage", f"{where} gives back what it was given")
    else:
        yield failed("storage", f"{where} gave back other bytes", "check the disk or the bucket")


def storage_name() -> str:
    """The class that keeps files, by its full name."""
    kind = type(storages["default"])
    return f"{kind.__module__}.{kind.__qualname__}"


def base_models_check() -> Iterator[Finding]:
    """Every base model is where the catalogue says, byte for byte."""
    with system_scope():
        names = list(BaseModel.objects.order_by("id").values_list("id", flat=True))
    if not names:
        yield warning("base models", "none yet", "run: manage.py base_model build")
        return
    for name in names:
        try:
            base_model_verify(model_id=name)
        except BreakwaterError as error:
            yield failed(f"base model {name}", error.message, "run: manage.py base_model build")
            return
    yield good("base models", f"{', '.join(names)}: verified")


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that exists: it is made there when first needed."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _writable(folder: Path) -> bool:
    probe = folder / f".{new_id('probe-')}"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError:
        return False
    return True


def _room(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    message = f"{free / GB:.1f} GB free at {folder}"
    if free < LEAST_FREE:
        return failed("disk", message, "free at least 1 GB, or put VAR elsewhere")
    if free < ENOUGH_FREE:
        return warning("disk", message, "snapshots and models need room: free 5 GB")
    return good("disk", message)
