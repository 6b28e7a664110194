"""What a wheel is, read without running it; and what it declares, asked in a sandbox."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plugins.host.catalog import Plugin, Refused, catalog_make, discover
from plugins.host.environments import provided_versions, wheel_install
from plugins.host.errors import WheelRefused
from plugins.host.facts import Enabled
from plugins.host.settings import schema_wrong
from plugins.kit.checks.declarations import wrong_in
from plugins.sdk.codec import to_json
from plugins.sdk.hooks import declaring
from plugins.sdk.manifest import Manifest
from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import minor_units
from tenants.kernel.version import code_version
from tenants.partners.host import host_make
from tenants.partners.wheels import wheel_unpack

LONGEST_NAME = 200
CURRENCY = "USD"  # of a service that is quoted on request


def wheel_examine(name: str, content: bytes) -> Manifest:
    """Read a wheel's manifest, none of its code run. Raises InvalidInput with the reason."""
    if not name.isascii() or len(name) > LONGEST_NAME:
        raise _wrong(f"its file's name is ASCII, of at most {LONGEST_NAME} characters")
    with tempfile.TemporaryDirectory() as scratch:
        wheel = Path(scratch) / Path(name).name
        wheel.write_bytes(content)
        site = Path(scratch) / "site"
        try:
            wheel_install(wheel, site)
        except WheelRefused as error:
            raise _wrong(str(error)) from error
        manifest = _only(discover(site, "isolated")).manifest
    if wrong := schema_wrong(manifest.settings):
        raise _wrong(f"plugin.toml: settings: {wrong}")
    return manifest


def declarations(plugin: Plugin, tenant_id: str) -> dict[str, Any]:
    """What a plugin declares, as JSON, and in `hooks` what it has at all.

    Raises InvalidInput where a hook failed.
    """
    host = host_make([plugin])
    declared: dict[str, tuple[Any, ...]] = {}
    for hook in declaring():
        for outcome in host.call(hook, {}, tenant=tenant_id, enabled=[Enabled(plugin.name)]):
            if outcome.failure is not None:
                failure = outcome.failure
                raise _wrong(f"{hook}() failed ({failure.kind}): {failure.message}")
            declared[hook] = outcome.value
    declared_check(declared, plugin.manifest.permissions)
    offers = {hook: to_json(value) for hook, value in declared.items()}
    return {**offers, "hooks": sorted(host.implemented(plugin.name, tenant_id))}


def stored_plugin(name: str, key: str, digest: str) -> Plugin:
    """The plugin of a stored wheel. Raises InvalidInput, WheelLost."""
    return _only(discover(wheel_unpack(name, key, digest), "isolated"))


def _only(found: list[Plugin | Refused]) -> Plugin:
    catalog = catalog_make(found, platform_version=code_version(), provided=provided_versions())
    if catalog.refused:
        raise _wrong(catalog.refused[0].reason)
    if len(catalog.plugins) != 1:
        raise _wrong(
            f"it has {len(catalog.plugins)} entry points in the group breakwater.plugins; a "
            "listing is one plugin"
        )
    return catalog.plugins[0]


def declared_check(
    declared: Mapping[str, tuple[Any, ...]], permissions: tuple[str, ...] = ()
) -> None:
    """Hold what a plugin declares, as contracts by hook, to what the conformance kit asks of it.

    The kit's own run saw another answer: a plugin may say one thing to it, and another to us.
    """
    for hook in declared:
        for wrong in wrong_in(hook, declared, permissions):
            raise _wrong(f"{hook}: {wrong}")
    for each in (*declared.get("prices", ()), *declared.get("services", ())):
        try:
            minor_units(each.currency or CURRENCY)
        except ValueError as error:
            raise _wrong(f"a price: {error}") from error


def _wrong(what: str) -> InvalidInput:
    return InvalidInput(f"the wheel: {what}", param="wheel", code="wheel_refused")
