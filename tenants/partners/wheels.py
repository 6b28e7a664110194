"""Wheels at rest, and unpacked for the host. Public bytes: plain, and known by their hash.

Unpacked they lie in a folder of this process that ordinary user ids can reach, for a confined child
has one of its own; it goes with the process.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
import threading
from functools import cache
from pathlib import Path

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from plugins.host.environments import wheel_install
from tenants.kernel.errors import BreakwaterError, TooLarge
from tenants.partners.models import Release

AREA = "plugins"
MAX_WHEEL_BYTES = 64 * 1024**2
_UNPACKING = threading.Lock()


class WheelLost(BreakwaterError):
    """The storage does not hold a wheel, or holds another one."""

    code = "wheel_lost"


def wheel_store(content: bytes) -> tuple[str, str]:
    """Keep a wheel; return its key and its sha256. Equal bytes are kept once. Raises TooLarge."""
    if len(content) > MAX_WHEEL_BYTES:
        raise TooLarge(f"a wheel has at most {MAX_WHEEL_BYTES:,} bytes", param="wheel")
    digest = hashlib.sha256(content).hexdigest()
    key = f"{AREA}/{digest}.whl"
    if not default_storage.exists(key):
        default_storage.save(key, ContentFile(content))
    return key, digest


def wheel_read(key: str, digest: str) -> bytes:
    """A wheel's bytes. Raises WheelLost."""
    try:
        with default_storage.open(key, "rb") as source:
            content: bytes = source.read()
    except FileNotFoundError as error:
        raise WheelLost(f"the storage holds no wheel {key!r}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise WheelLost(f"the wheel {key!r} is not the one that was checked")
    return content


@cache
def plugins_folder() -> Path:
    """This process's folder of unpacked wheels, and of the sandbox's runtime."""
    folder = Path(tempfile.mkdtemp(prefix="breakwater-plugins-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def wheel_unpack(name: str, key: str, digest: str) -> Path:
    """The folder of an unpacked wheel, made once. Raises WheelLost, WheelRefused."""
    site = plugins_folder() / "sites" / digest
    if site.exists():  # it came there whole: nobody waits while another one is unpacked
        return site
    with _UNPACKING:
        if site.exists():
            return site
        with tempfile.TemporaryDirectory(dir=plugins_folder()) as scratch:
            wheel = Path(scratch) / Path(name).name
            wheel.write_bytes(wheel_read(key, digest))
            site.parent.mkdir(parents=True, exist_ok=True)
            fresh = site.with_name(f".{digest}")
            shutil.rmtree(fresh, ignore_errors=True)
            wheel_install(wheel, fresh)
            site.parent.chmod(0o755)
            fresh.rename(site)
    return site


def release_unpack(release: Release) -> Path:
    """`wheel_unpack` of a release."""
    return wheel_unpack(release.wheel_name, release.wheel_key, release.wheel_sha256)
