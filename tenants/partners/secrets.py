"""Settings of a plugin that are secret: sealed with the tenant's data key, never shown again.

A setting is secret where the manifest's schema says `writeOnly` (JSON Schema 2020-12, 9.4).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

from tenants.kernel.crypto import decrypt, encrypt, tenant_data_key


def secret_names(manifest: Mapping[str, Any]) -> frozenset[str]:
    """The settings that are secret by the manifest's schema."""
    properties = (manifest.get("settings") or {}).get("properties") or {}
    return frozenset(
        name
        for name, its in properties.items()
        if isinstance(its, Mapping) and its.get("writeOnly") is True
    )


def settings_split(
    manifest: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What may be shown, and what may not."""
    hidden = secret_names(manifest)
    plain = {name: value for name, value in settings.items() if name not in hidden}
    return plain, {name: value for name, value in settings.items() if name in hidden}


def secrets_seal(tenant_id: str, secrets: Mapping[str, Any]) -> bytes | None:
    """Seal secrets for the tenant in scope; nothing where there are none."""
    if not secrets:
        return None
    text = json.dumps(dict(secrets), sort_keys=True).encode()
    return b"".join(encrypt([text], tenant_data_key(tenant_id)))


def secrets_open(tenant_id: str, sealed: bytes | memoryview | None) -> dict[str, Any]:
    """Open what `secrets_seal` made. Raises DecryptionError, NotFound where the key is gone."""
    if not sealed:
        return {}
    plain = b"".join(decrypt(io.BytesIO(bytes(sealed)), tenant_data_key(tenant_id)))
    found: dict[str, Any] = json.loads(plain)
    return found
