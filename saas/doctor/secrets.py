"""Secrets: made, kept to their owner, and able to open what they sealed."""

from __future__ import annotations

import os
from collections.abc import Iterator

from django.conf import settings

from saas.doctor.findings import Finding, failed, good, warning
from saas.settings.environment import VAR
from tenants.kernel.crypto import DecryptionError, LocalKeyRing, key_ring
from tenants.kernel.models import DataKey
from tenants.kernel.scope import system_scope


def settings_check() -> Iterator[Finding]:
    """The settings were made, and only their owner can read them."""
    file = VAR / "env"
    if settings.SECRET_KEY.startswith("unconfigured"):
        yield failed("settings", f"no SECRET_KEY, and no {file}", "run: make up")
    elif not file.is_file():
        yield good("settings", "from the environment")
    elif file.stat().st_mode & 0o077:
        yield warning("settings", f"others can read {file}", f"run: chmod 600 {file}")
    else:
        yield good("settings", f"from {file}, which only its owner can read")
    if settings.DEBUG:
        yield warning("debug", "DEBUG is on: errors show settings", "unset DEBUG")


def data_keys_check() -> Iterator[Finding]:
    """The key-encryption keys are whole, and open the data keys that tenants have."""
    try:
        for pair in filter(None, settings.KEY_ENCRYPTION_KEYS.split(",")):
            LocalKeyRing.from_setting(pair).wrap(os.urandom(32), b"doctor")
        ring = key_ring()
    except ValueError as error:
        yield failed(
            "key-encryption keys",
            f"KEY_ENCRYPTION_KEYS is not usable: {error}",
            "set id:base64 of 32 random bytes each; put back the old keys, else data is lost",
        )
        return
    with system_scope():
        rows = DataKey.objects.filter(wrapped__isnull=False).order_by("kek_id", "id")
        samples = list(rows.distinct("kek_id"))
        stale = rows.exclude(kek_id=ring.current).count()
    for row in samples:
        try:
            ring.unwrap(row.kek_id, bytes(row.wrapped), row.tenant_id.encode())
        except DecryptionError as error:
            yield failed(
                "data keys", error.message, "put that key back: its tenants' data needs it"
            )
            return
    if stale:
        yield warning(
            "data keys",
            f"{stale} are still wrapped under an older key",
            "rewrap them (tenants.kernel.crypto.data_keys_rewrap) before removing that key",
        )
    else:
        yield good("data keys", f"all open with the key-encryption key {ring.current!r}")
