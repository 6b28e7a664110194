"""A plugin host inside a child, made of what the parent tells of releases and of its ground.

Never imported by the parent. Django is not loaded here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plugins.builtin.catalogue import builtins
from plugins.host.breaker import Breaker
from plugins.host.calls import PluginHost
from plugins.host.catalog import Plugin, catalog_make, discover
from plugins.host.environments import provided_versions
from plugins.host.facts import Limits
from plugins.host.isolated import Isolated
from plugins.host.pool import Pool
from plugins.host.runtime import Runtime
from plugins.host.sandbox import Sandbox


def host_make(
    ground: Mapping[str, Any],
    release: Mapping[str, Any],
    pool: Pool,
    limits: Limits,
    breaker: Breaker | None = None,
) -> PluginHost:
    """A host of a `release` (`plugin`, `site`; no site: a built-in). See `runs.plugins`.

    Raises RuntimeError for one that is refused: the parent has looked already.
    """
    made = ground["runtime"]
    sandbox = Sandbox(
        Path(ground["folder"]),
        accept_risk=bool(ground["accept_risk"]),
        limits=limits,
        made=None if made is None else Runtime.from_json(made),
    )
    catalog = catalog_make(
        _found(release),
        platform_version=ground["platform"],
        provided=provided_versions(),
    )
    if catalog.refused:
        raise RuntimeError(catalog.refused[0].reason)
    lent = Path(ground["lent"]) if ground["lent"] else None
    return PluginHost(catalog, Isolated(sandbox, pool, lent), breaker)


def _found(release: Mapping[str, Any]) -> list[Any]:
    if release["site"]:
        return discover(Path(release["site"]), "isolated")
    return [
        Plugin(manifest, module, "trusted", builtin=True)
        for manifest, module in builtins()
        if manifest.name == release["plugin"]
    ]
