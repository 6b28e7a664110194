"""Reads of partners, releases and installations, in the scope in force."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import Q, QuerySet
from packaging.version import Version

from tenants.kernel.errors import NotFound
from tenants.kernel.scope import current_alias
from tenants.partners.models import Agreement, Installation, Release
from tenants.partners.secrets import secrets_open


@dataclass(frozen=True)
class Enabled:
    """An installation as a call needs it, read out of its scope: settings with the secrets."""

    installation_id: str
    release_id: str
    plugin: str
    version: str
    settings: Mapping[str, Any]
    permissions: frozenset[str]


def releases_offered() -> QuerySet[Release]:
    """What may be enabled, the newest first."""
    rows = Release.objects.filter(suspended_at__isnull=True)
    return rows.order_by("-published_at", "-id")


def release_named(plugin: str, version: str = "") -> Release:
    """The newest release of a plugin, or `version`. Raises NotFound for what is not on offer."""
    found = list(releases_offered().filter(plugin=plugin))
    if version:
        found = [row for row in found if row.version == version]
    if not found:
        raise NotFound(
            f"the marketplace does not offer {' '.join(filter(None, (plugin, version)))}",
            param="plugin",
            code="plugin_not_found",
        )
    return max(found, key=lambda row: Version(row.version))


def installations_visible() -> QuerySet[Installation]:
    """Installations of the scope that are in force, the latest first."""
    rows: QuerySet[Installation] = Installation.objects.filter(removed_at__isnull=True)
    return rows.select_related("release", "previous").order_by("-created_at", "-id")


def installation_get(installation_id: str) -> Installation:
    """Raises NotFound."""
    row = installations_visible().filter(pk=installation_id).first()
    if row is None:
        raise NotFound(f"no installation {installation_id!r}", param="installation_id")
    return row


def release_has(release: Release, hook: str) -> bool:
    """Whether a release has a hook; one examined before `hooks` was noted may have any."""
    return hook in release.offers.get("hooks", (hook,))


def hearers(hook: str) -> QuerySet[Installation]:
    """Installations in force, of the scope, whose release may be called and has a hook: those of
    `release_has`, asked of the database.
    """
    has = Q(release__offers__hooks__contains=[hook]) | ~Q(release__offers__has_key="hooks")
    return installations_visible().filter(has, release__suspended_at__isnull=True)


def enabled_of(tenant_id: str, *, plugin: str = "", hook: str = "") -> list[Enabled]:
    """What a tenant enabled and may be called, by name; `hook`: only what has it."""
    rows = hearers(hook) if hook else installations_visible()
    rows = rows.filter(tenant_id=tenant_id, release__suspended_at__isnull=True)
    rows = rows.filter(plugin=plugin) if plugin else rows
    return [
        Enabled(
            installation_id=row.id,
            release_id=row.release_id,
            plugin=row.plugin,
            version=row.release.version,
            settings={**row.settings, **secrets_open(tenant_id, row.secrets)},
            permissions=frozenset(row.permissions),
        )
        for row in rows.order_by("plugin")
    ]


def agreements_visible() -> QuerySet[Agreement]:
    """Agreements of the scope, the latest version first."""
    rows: QuerySet[Agreement] = Agreement.objects.all()
    return rows.order_by("tenant_id", "-number")


@dataclass(frozen=True)
class Fared:
    """A release over the last 30 days, summed over all tenants."""

    plugin: str
    version: str
    installs: int
    calls: int
    failures: Mapping[str, int]  # kind → how often


def releases_fared(partner_id: str) -> list[Fared]:
    """How a partner's releases fare: counts, and no words of any tenant's."""
    with connections[current_alias()].cursor() as cursor:
        cursor.execute("SELECT * FROM partner_health(%s)", [partner_id])
        return [
            Fared(plugin, version, installs, calls, json.loads(failures))
            for plugin, version, installs, calls, failures in cursor.fetchall()
        ]
