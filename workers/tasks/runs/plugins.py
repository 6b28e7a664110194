"""What a child is told so that it can call plugins itself: see `workers.tasks.plugin_hosts`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings

from plugins.host.errors import WheelRefused
from plugins.host.facts import Failure, Outcome
from tenants.kernel.scope import system_scope
from tenants.kernel.version import code_version
from tenants.partners.host import ground, host_of
from tenants.partners.models import Release
from tenants.partners.selectors import Enabled, enabled_of
from tenants.partners.services import health_record
from tenants.partners.wheels import plugins_folder, release_unpack
from workers.tasks.runs.run import CannotRun


def enabled_release(tenant_id: str, plugin: str, release_id: str) -> tuple[Enabled, Release]:
    """An installation as it is now, and the release that a job was made for. In the scope.

    A plugin disabled since is called no more. Raises CannotRun.
    """
    found = enabled_of(tenant_id, plugin=plugin)
    if not found:
        raise CannotRun(
            f"{plugin} was disabled or suspended since", code="plugin_not_enabled", param="plugin"
        )
    release = Release.objects.filter(pk=release_id).first()
    if release is None or release.suspended_at is not None:
        raise CannotRun("this release is suspended", code="plugin_suspended", param="plugin")
    return found[0], release


def release_told(enabled: Enabled, release: Release) -> dict[str, Any]:
    """A release as the child's host takes it, unpacked. Raises CannotRun for one refused."""
    try:
        site = release_unpack(release) if release.wheel_key else None
        refused = host_of([release]).refused
    except WheelRefused as error:
        raise CannotRun(str(error), code="plugin_refused", param="plugin") from error
    if refused:  # the platform was upgraded past it, say
        said = f"{release}: {refused[0].reason}"
        raise CannotRun(said, code="plugin_refused", param="plugin")
    return {
        "plugin": release.plugin,
        "version": release.version,
        "settings": dict(enabled.settings),
        "permissions": sorted(enabled.permissions),
        "site": str(site) if site else "",
    }


def ground_told() -> dict[str, Any]:
    """Where plugins run, and how they are confined: this process's own ground."""
    shared = ground()
    return {
        "platform": code_version(),
        "folder": str(plugins_folder()),
        "lent": str(shared.lent),
        "accept_risk": settings.PLUGINS_ACCEPT_RISK,
        "runtime": shared.sandbox.runtime.to_json(),
    }


def outcomes_heard(plugin: str, version: str, frames: Iterable[Mapping[str, Any]]) -> None:
    """Keep on the plugin's health how its calls in a child went."""
    outcomes = [
        Outcome(
            plugin=plugin,
            version=version,
            failure=Failure(*frame["failure"]) if frame["failure"] else None,
            wall_s=float(frame["wall_s"]),
            cpu_s=float(frame["cpu_s"]),
        )
        for frame in frames
    ]
    with system_scope():
        health_record(outcomes=outcomes)
