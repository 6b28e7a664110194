"""A tenant's installations: enabled, configured, upgraded, rolled back, removed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.db.models.functions import Now

from plugins.host.settings import settings_wrong
from plugins.sdk.codec import from_json
from plugins.sdk.manifest import Manifest
from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from tenants.partners.events import PluginDisabled, PluginEnabled
from tenants.partners.locks import installation_locked
from tenants.partners.models import Installation, Release
from tenants.partners.secrets import secrets_open, secrets_seal, settings_split
from tenants.partners.selectors import release_named

WRITE = "plugins.write"


def plugin_enable(
    *,
    actor: Actor,
    plugin: str,
    permissions: Collection[str],
    settings: Mapping[str, Any] | None = None,
    version: str = "",
) -> Installation:
    """Let the actor's tenant use a plugin: its newest release, or `version`.

    `permissions` are those granted: all that it asks for, or it would fail in the middle of work.
    Raises PermissionDenied, NotFound, InvalidInput (settings, permissions), Conflict.
    """
    actor.require(WRITE)
    release = release_named(plugin, version)
    if Installation.objects.filter(plugin=plugin, removed_at__isnull=True).exists():
        raise Conflict(
            f"{plugin} is enabled already; change its settings, upgrade it, or disable it first",
            param="plugin",
            code="plugin_enabled",
        )
    _check(release, permissions, settings or {})
    plain, secret = settings_split(release.manifest, settings or {})
    row: Installation = Installation.objects.create(
        id=new_id("inst_"),
        tenant_id=actor.tenant_id,
        plugin=plugin,
        release=release,
        settings=plain,
        secrets=secrets_seal(actor.tenant_id, secret),
        permissions=sorted(permissions),
    )
    return _told(actor, row, "plugin.enable")


def plugin_configure(
    *,
    actor: Actor,
    installation_id: str,
    settings: Mapping[str, Any],
    permissions: Collection[str] | None = None,
) -> Installation:
    """Set an installation's settings anew. A secret that is left out stays as it is."""
    actor.require(WRITE)
    row = installation_locked(installation_id)
    granted = row.permissions if permissions is None else permissions
    plain, secret = settings_split(row.release.manifest, settings)
    opened = secrets_open(actor.tenant_id, row.secrets)
    kept = {**{name: opened[name] for name in opened if name not in plain}, **secret}
    _check(row.release, granted, {**plain, **kept})
    row.settings, row.permissions = plain, sorted(granted)
    row.secrets = secrets_seal(actor.tenant_id, kept)
    row.changed_at = Now()
    row.save(update_fields=["settings", "secrets", "permissions", "changed_at"])
    return _told(actor, row, "plugin.configure")


def plugin_upgrade(
    *,
    actor: Actor,
    installation_id: str,
    permissions: Collection[str] | None = None,
    version: str = "",
) -> Installation:
    """Go on with the newest release, or `version`; the one before is kept for a roll-back.

    Raises Conflict where there is no other, InvalidInput where it asks for more than was granted
    (name the `permissions` then) or does not take the settings.
    """
    actor.require(WRITE)
    row = installation_locked(installation_id)
    release = release_named(row.plugin, version)
    if release.id == row.release_id:
        raise Conflict(f"{row.plugin} {release.version} is enabled already", code="plugin_newest")
    return _move(actor, row, release, permissions, "plugin.upgrade")


def plugin_roll_back(*, actor: Actor, installation_id: str) -> Installation:
    """Go back to the release before. Raises Conflict where there is none, or it is suspended."""
    actor.require(WRITE)
    row = installation_locked(installation_id)
    if row.previous is None:
        raise Conflict(f"{row.plugin} has no version before this one here", code="plugin_first")
    if row.previous.suspended_at is not None:
        raise Conflict(f"{row.previous} is suspended", code="plugin_suspended")
    return _move(actor, row, row.previous, row.previous.manifest["permissions"], "plugin.roll_back")


def plugin_disable(*, actor: Actor, installation_id: str) -> Installation:
    """Uninstall: its settings and secrets go; what it did and cost stays on record."""
    actor.require(WRITE)
    row = installation_locked(installation_id)
    row.removed_at, row.settings, row.secrets = Now(), {}, None
    row.save(update_fields=["removed_at", "settings", "secrets"])
    row.refresh_from_db(fields=["removed_at"])
    audit_record(actor=actor, action="plugin.disable", target=row.id, data={"plugin": row.plugin})
    emit(PluginDisabled(actor.tenant_id, installation_id=row.id, plugin=row.plugin))
    return row


def _move(
    actor: Actor,
    row: Installation,
    release: Release,
    permissions: Collection[str] | None,
    action: str,
) -> Installation:
    """What either release calls a secret stays one: given as one, or one from now on."""
    granted = row.permissions if permissions is None else permissions
    plain, secret = settings_split(release.manifest, row.settings)
    kept = {**secrets_open(actor.tenant_id, row.secrets), **secret}
    _check(release, granted, {**plain, **kept})
    row.previous, row.release, row.permissions = row.release, release, sorted(granted)
    row.settings, row.secrets = plain, secrets_seal(actor.tenant_id, kept)
    row.changed_at = Now()
    row.save(
        update_fields=["previous", "release", "permissions", "settings", "secrets", "changed_at"]
    )
    return _told(actor, row, action)


def _check(release: Release, permissions: Collection[str], settings: Mapping[str, Any]) -> None:
    manifest: Manifest = from_json(Manifest, release.manifest, "manifest")
    lacking = sorted(set(manifest.permissions) - set(permissions))
    if lacking:
        raise InvalidInput(
            f"{release} asks for {', '.join(lacking)}; grant it, or leave the plugin",
            param="permissions",
            code="permission_missing",
        )
    if unknown := sorted(set(permissions) - set(manifest.permissions)):
        raise InvalidInput(f"{release} does not ask for {', '.join(unknown)}", param="permissions")
    if wrong := settings_wrong(manifest, settings):
        raise InvalidInput(wrong, param="settings", code="invalid_settings")


def _told(actor: Actor, row: Installation, action: str) -> Installation:
    row.refresh_from_db(fields=["created_at", "changed_at"])
    audit_record(actor=actor, action=action, target=row.id, data={"release": str(row.release)})
    emit(
        PluginEnabled(
            actor.tenant_id,
            installation_id=row.id,
            plugin=row.plugin,
            version=row.release.version,
        )
    )
    return row


def installs_count(*, tenant_id: str, plugin: str) -> None:
    """A tenant enabled a plugin, or does no longer: count its releases' users (system scope)."""
    del tenant_id
    for release in Release.objects.filter(plugin=plugin):
        rows = Installation.objects.filter(release=release, removed_at__isnull=True)
        Release.objects.filter(pk=release.pk).update(installs=rows.count())
