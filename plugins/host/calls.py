"""The host: one hook, called at each plugin that the tenant enabled; outcomes as facts."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from plugins.host.breaker import Breaker
from plugins.host.catalog import Catalog, Plugin, Refused
from plugins.host.errors import CallFailed, HostError
from plugins.host.facts import Enabled, Failure, Level, Outcome
from plugins.host.isolated import Isolated
from plugins.host.orders import WorkOrder
from plugins.host.settings import settings_wrong
from plugins.host.trusted import Trusted
from plugins.sdk.contracts import Meter, StepResult
from plugins.sdk.hooks import hooks

# what a tenant must have granted before a hook carries its data; the others carry none
NEEDS: Mapping[str, str] = {
    "run_step": "data.datasets",
    "read_dataset": "data.datasets",
    "prepare_dataset": "data.datasets",
    "run_method": "data.datasets",
    "quote_adjustment": "data.quotes",
    "job_finished": "data.jobs",
    "usage_recorded": "data.usage",
    "console_panels": "data.usage",
}


@dataclass(frozen=True)
class _Call:
    """A hook's call for a tenant, whichever plugins it reaches."""

    hook: str
    args: Mapping[str, Any]
    tenant: str
    order: WorkOrder | None = None
    timeout: float | None = None


class PluginHost:
    """Holds what is loaded. Thread-safe; `close` the pool when done."""

    def __init__(
        self, catalog: Catalog, isolated: Isolated, breaker: Breaker | None = None
    ) -> None:
        self._catalog = catalog
        self._isolated = isolated
        self.breaker = breaker or Breaker()
        trusted = [plugin for plugin in catalog.plugins if plugin.mode == "trusted"]
        self._trusted = Trusted(trusted)
        self.refused: tuple[Refused, ...] = (*catalog.refused, *self._trusted.refused)
        bad = {each.name for each in self._trusted.refused}
        self._callable = [plugin for plugin in catalog.plugins if plugin.name not in bad]
        self._meters: dict[tuple[str, str], Mapping[str, Meter]] = {}

    def call(
        self,
        hook: str,
        args: Mapping[str, Any],
        *,
        tenant: str,
        enabled: Sequence[Enabled],
        order: WorkOrder | None = None,
        timeout: float | None = None,
    ) -> tuple[Outcome, ...]:
        """Call a hook at every enabled plugin that implements it: built-ins first, then by name.

        A plugin's failure is its outcome, never an exception. Raises HostError for a hook or
        an argument that does not exist, which is our own mistake.
        """
        _check_arguments(hook, args, order)
        by_name = {each.name: each for each in enabled}
        call = _Call(hook, args, tenant, order, timeout)
        outcomes = (
            self._one(plugin, call, by_name[plugin.name])
            for plugin in self._callable
            if plugin.name in by_name
        )
        return tuple(outcome for outcome in outcomes if outcome is not None)

    def implemented(self, name: str, tenant: str) -> frozenset[str]:
        """The hooks that a plugin has. Raises CallFailed where it cannot be started to be asked."""
        found = [plugin for plugin in self._callable if plugin.name == name]
        return frozenset(h for h in hooks() for plugin in found if self._has(plugin, h, tenant))

    def _has(self, plugin: Plugin, hook: str, tenant: str) -> bool:
        if plugin.mode == "trusted":
            return self._trusted.implements(plugin.name, hook)
        return self._isolated.implements(plugin, hook, tenant)

    def _one(self, plugin: Plugin, call: _Call, enabled: Enabled) -> Outcome | None:
        # known without starting anything: what a trusted one lacks is no call of it
        if plugin.mode == "trusted" and not self._has(plugin, call.hook, call.tenant):
            return None
        make = functools.partial(Outcome, plugin.name, plugin.version)
        if not self.breaker.allows(plugin.name):
            return make(failure=Failure("suspended", "it failed too often; it is tried again soon"))
        began, cpu = time.monotonic(), [0.0]
        level: Level | str = plugin.mode
        value, failure, keys = None, None, {}
        try:
            if not self._has(plugin, call.hook, call.tenant):
                return None
            _permitted(plugin, call.hook, enabled)
            value, level = self._value(plugin, call, enabled.settings, cpu)
            if isinstance(value, StepResult) and call.order is not None:
                keys = self._usage_keys(plugin, value, call.tenant, call.order)
        except CallFailed as error:
            value, failure = None, error.failure
        self.breaker.record(plugin.name, failure)
        wall = time.monotonic() - began
        return make(value, failure, level, wall, cpu[0], usage_keys=keys)  # type: ignore[arg-type]

    def _value(
        self, plugin: Plugin, call: _Call, settings: Mapping[str, Any], cpu: list[float]
    ) -> tuple[Any, Level | str]:
        """The checked answer, and the level. `cpu[0]` becomes the seconds used, also of a failure.

        Raises CallFailed.
        """
        if plugin.mode == "trusted":
            before = time.thread_time()
            try:
                value = self._trusted.call(plugin.name, call.hook, call.args, settings, call.order)
            finally:
                cpu[0] = time.thread_time() - before
            return value, "trusted"
        return self._isolated.call(
            plugin,
            call.hook,
            call.args,
            settings,
            tenant=call.tenant,
            order=call.order,
            timeout=call.timeout,
            measured=functools.partial(cpu.__setitem__, 0),
        )

    def _usage_keys(
        self, plugin: Plugin, result: StepResult, tenant: str, order: WorkOrder
    ) -> dict[str, str]:
        """Key each claim by its call, so that it counts once. Raises CallFailed past its meter."""
        keys: dict[str, str] = {}
        meters = self._meters_of(plugin, tenant) if result.claims else {}
        for claim in result.claims:
            meter = meters.get(claim.meter)
            if meter is None:
                raise CallFailed("contract", f"claims: it has no meter {claim.meter!r}")
            if claim.meter in keys:
                raise CallFailed("contract", f"claims: {claim.meter!r} is claimed twice")
            if not Decimal(0) < claim.quantity <= meter.most_per_call:
                raise CallFailed(
                    "contract",
                    f"claims: {claim.quantity} of {claim.meter}; at most {meter.most_per_call}",
                )
            keys[claim.meter] = f"plugin:{plugin.name}:{order.call_id}:{claim.meter}"
        return keys

    def _meters_of(self, plugin: Plugin, tenant: str) -> Mapping[str, Meter]:
        key = (plugin.name, plugin.version)
        if key not in self._meters:
            declared: tuple[Meter, ...] = ()
            if self._has(plugin, "meters", tenant):
                declared, _ = self._value(plugin, _Call("meters", {}, tenant), {}, [0.0])
            self._meters[key] = {meter.name: meter for meter in declared}
        return self._meters[key]


def _check_arguments(hook: str, args: Mapping[str, Any], order: WorkOrder | None) -> None:
    known = hooks().get(hook)
    if known is None:
        raise HostError(f"there is no hook {hook!r}")
    given = {*args, *(["work"] if order is not None else [])}
    if given != set(known.arguments):
        raise HostError(
            f"{hook} takes {', '.join(known.arguments)}; got {', '.join(sorted(given))}"
        )


def _permitted(plugin: Plugin, hook: str, enabled: Enabled) -> None:
    needed = NEEDS.get(hook)
    if needed is not None and needed not in enabled.permissions:
        raise CallFailed("refused", f"the tenant has not granted {needed}")
    if wrong := settings_wrong(plugin.manifest, enabled.settings):
        raise CallFailed("refused", wrong)
