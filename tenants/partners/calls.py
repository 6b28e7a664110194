"""The one door through which the platform calls what a tenant enabled.

`hooks_call` is outside of any scope: no transaction waits for a plugin. `hooks_ask` is for what a
person waits for, inside the request's scope: all plugins at once, for a short while.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Any

from plugins.host.errors import WheelRefused
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
from tenants.partners.wheels import WheelLost, release_unpack

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
    there, lost = _at_hand(releases)
    outcomes = lost
    if there:
        outcomes += host_of(there).call(
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
    there, lost = _at_hand(list(releases.values()))
    if not there:
        return lost
    host = host_of(there)
    at_hand = {row.id for row in there}
    enabled = [each for each in enabled if each.release_id in at_hand]
    enabled.sort(key=lambda each: releases[each.release_id].partner_id is not None)
    calls = [
        _threads().submit(
            host.call, hook, args, tenant=tenant_id, enabled=[host_enabled(each)], timeout=limit_s
        )
        for each in enabled
    ]
    wait(calls, timeout=limit_s)
    answers = (_answer(each, call, limit_s) for each, call in zip(enabled, calls, strict=True))
    return (*(outcome for answer in answers for outcome in answer), *lost)


def _answer(
    each: Enabled, call: Future[tuple[Outcome, ...]], limit_s: float
) -> tuple[Outcome, ...]:
    """What came of one plugin's call. One that waited behind others' has not failed itself."""
    if call.cancel():
        failure = Failure("unavailable", "it was not asked: others held every place for calls")
    elif not call.done():
        failure = Failure("timeout", f"no answer within {limit_s:g} s")
    else:
        return call.result()
    return (Outcome(each.plugin, each.version, failure=failure),)


def _at_hand(releases: Sequence[Release]) -> tuple[list[Release], tuple[Outcome, ...]]:
    """The releases whose wheels our storage gives, and an outcome for each of the others."""
    there: list[Release] = []
    lost: list[Outcome] = []
    for row in releases:
        try:
            if row.partner_id is not None:
                release_unpack(row)
            there.append(row)
        except (WheelLost, WheelRefused, OSError) as error:
            failure = Failure("unavailable", f"its wheel cannot be read: {error}"[:500])
            lost.append(Outcome(row.plugin, row.version, failure=failure))
    return there, tuple(lost)


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
