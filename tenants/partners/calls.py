"""The one door through which the platform calls what a tenant enabled.

`hooks_call` is outside of any scope: no transaction waits for a plugin. `hooks_ask` is for what a
person waits for, inside the request's scope: all plugins at once, for a short while.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any

from plugins.host.facts import Enabled as HostEnabled
from plugins.host.facts import Failure, Outcome
from plugins.host.orders import WorkOrder
from tenants.kernel.scope import (
    ScopeError,
    current_scope,
    on_commit,
    system_scope,
    tenant_scope,
)
from tenants.partners.host import host_of
from tenants.partners.models import Release
from tenants.partners.selectors import Enabled, enabled_of
from tenants.partners.services.health import health_record

ASKED_AT_ONCE = 16  # plugins, of all requests of this process


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


def hooks_ask(
    tenant_id: str,
    hook: str,
    args: Mapping[str, Any],
    *,
    limit_s: float,
    only: Collection[str] | None = None,
) -> tuple[Outcome, ...]:
    """Call a hook inside a scope, at every plugin at once (or those in `only`), built-ins first.

    Who has not answered after `limit_s` in all has failed. Have the outcomes kept
    (`outcomes_keep`) once they are judged: nothing is written here.
    """
    enabled = [
        each for each in enabled_of(tenant_id, hook=hook) if only is None or each.plugin in only
    ]
    if not enabled:
        return ()
    releases = {
        row.id: row for row in Release.objects.filter(pk__in=[e.release_id for e in enabled])
    }
    host = host_of(list(releases.values()))
    enabled.sort(key=lambda each: releases[each.release_id].partner_id is not None)
    calls = [
        _threads().submit(
            host.call, hook, args, tenant=tenant_id, enabled=[host_enabled(each)], timeout=limit_s
        )
        for each in enabled
    ]
    wait(calls, timeout=limit_s)
    outcomes: list[Outcome] = []
    for each, call in zip(enabled, calls, strict=True):
        if call.done():
            outcomes += call.result()
        else:
            late = Failure("timeout", f"no answer within {limit_s:g} s")
            outcomes.append(Outcome(each.plugin, each.version, failure=late))
    return tuple(outcomes)


def outcomes_keep(outcomes: Iterable[Outcome]) -> None:
    """Count what was asked inside a scope on the plugins' health, once the scope has committed."""
    kept = tuple(outcomes)

    def keep() -> None:
        with system_scope():
            health_record(outcomes=kept)

    if kept:
        on_commit(keep)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="hooks")


def host_enabled(each: Enabled) -> HostEnabled:
    """An installation in the host's words."""
    return HostEnabled(each.plugin, each.settings, each.permissions)
