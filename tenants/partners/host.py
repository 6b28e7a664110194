"""The plugin host of this process: one sandbox, one pool, one breaker, whatever is called.

Which plugins a call reaches is handed in: `host_of` makes a host of one tenant's releases.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings

from plugins.builtin.catalogue import builtins
from plugins.host.breaker import Breaker
from plugins.host.calls import PluginHost
from plugins.host.catalog import Plugin, Refused, catalog_make, discover
from plugins.host.environments import provided_link, provided_versions
from plugins.host.isolated import Isolated
from plugins.host.pool import Pool
from plugins.host.sandbox import Sandbox
from tenants.kernel.version import code_version
from tenants.partners.models import Release
from tenants.partners.wheels import plugins_folder, release_unpack

MAX_HOSTS = 64  # of different sets of releases, kept ready


@dataclass(frozen=True)
class Ground:
    """What all hosts of a process share."""

    sandbox: Sandbox
    pool: Pool
    breaker: Breaker
    lent: Path


_HOSTS: dict[tuple[str, ...], PluginHost] = {}
_LOCK = threading.Lock()


@cache
def ground() -> Ground:
    folder = plugins_folder()
    pool = Pool()
    atexit.register(pool.close)
    return Ground(
        sandbox=Sandbox(folder, accept_risk=settings.PLUGINS_ACCEPT_RISK),
        pool=pool,
        breaker=Breaker(),
        lent=provided_link(folder / "lent"),
    )


def found_of(release: Release) -> list[Plugin | Refused]:
    """A release as the host finds it: by its metadata, without running a line of it."""
    if release.partner_id is None:
        return [
            Plugin(manifest, module, "trusted", builtin=True)
            for manifest, module in builtins()
            if (manifest.name, manifest.version) == (release.plugin, release.version)
        ]
    return discover(release_unpack(release), "isolated")


def host_of(releases: Sequence[Release]) -> PluginHost:
    """A host of these releases, kept for the next call of the same ones."""
    key = tuple(sorted(release.id for release in releases))
    with _LOCK:
        if key not in _HOSTS:
            found = [each for release in releases for each in found_of(release)]
            while len(_HOSTS) >= MAX_HOSTS:
                _HOSTS.pop(next(iter(_HOSTS)))
            _HOSTS[key] = host_make(found)
        return _HOSTS[key]


def host_make(found: Sequence[Plugin | Refused]) -> PluginHost:
    """A host of what was discovered, on this process's ground."""
    shared = ground()
    catalog = catalog_make(found, platform_version=code_version(), provided=provided_versions())
    isolated = Isolated(shared.sandbox, shared.pool, shared.lent)
    return PluginHost(catalog, isolated, shared.breaker)
