"""Plugins of the operator's own, as built-ins are: modules of this process under our one door."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from plugins.host.catalog import Plugin
from plugins.sdk.codec import to_json
from plugins.sdk.manifest import manifest_read
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from tenants.marketplace.examining import declarations
from tenants.partners import host
from tenants.partners.models import Release
from tests.plugins.wheels import manifest
from tests.tenants.pricing.books import platform_make


def trusted_released(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, permissions: Sequence[str]
) -> Release:
    """On the marketplace, as `builtins_release` puts what the platform brings."""
    asked = ", ".join(f'"{each}"' for each in permissions)
    read = manifest_read(manifest(name, permissions=f"[{asked}]"))
    monkeypatch.setattr(host, "builtins", lambda: ((read, module),))
    monkeypatch.setattr(host, "_HOSTS", {})
    plugin = Plugin(read, module, "trusted", builtin=True)
    with system_scope():
        row: Release = Release.objects.create(
            id=new_id("rel_"),
            plugin=name,
            version=read.version,
            publisher="The operator",
            title=name,
            manifest=to_json(read),
            offers=declarations(plugin, platform_make()),
        )
    return row
