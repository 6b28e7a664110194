"""`hooks_call`: the one door through which the platform calls what a tenant enabled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugins.host.facts import Enabled as HostEnabled
from plugins.host.facts import Outcome
from plugins.host.orders import WorkOrder
from tenants.kernel.scope import ScopeError, current_scope, system_scope, tenant_scope
from tenants.partners.host import host_of
from tenants.partners.models import Release
from tenants.partners.selectors import Enabled, enabled_of
from tenants.partners.services.health import health_record


def hooks_call(
    tenant_id: str,
    hook: str,
    args: Mapping[str, Any],
    *,
    plugin: str = "",
    order: WorkOrder | None = None,
    timeout: float | None = None,
) -> tuple[Outcome, ...]:
    """Call a hook at every plugin that the tenant enabled (or at one), and keep how it went.

    A plugin's failure is its outcome. Outside of any scope: no transaction waits for a plugin.
    Raises ScopeError inside one.
    """
    if current_scope() is not None:
        raise ScopeError("plugins are called outside of a scope: their time is not a transaction's")
    with tenant_scope(tenant_id):
        enabled = enabled_of(tenant_id, plugin=plugin, hook=hook)
        releases = list(Release.objects.filter(pk__in=[each.release_id for each in enabled]))
    if not enabled:
        return ()
    outcomes = host_of(releases).call(
        hook,
        args,
        tenant=tenant_id,
        enabled=[host_enabled(each) for each in enabled],
        order=order,
        timeout=timeout,
    )
    if outcomes:
        with system_scope():
            health_record(outcomes=outcomes)
    return outcomes


def host_enabled(each: Enabled) -> HostEnabled:
    """An installation in the host's words."""
    return HostEnabled(each.plugin, each.settings, each.permissions)
