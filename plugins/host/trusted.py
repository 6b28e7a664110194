"""The operator's own plugins and the built-ins: one pluggy manager, in this process."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

import pluggy

from plugins.host.catalog import Plugin, Refused
from plugins.host.errors import CallFailed
from plugins.host.orders import InProcessPort, WorkOrder
from plugins.sdk import hookspecs
from plugins.sdk.codec import from_json, to_json
from plugins.sdk.errors import Cancelled, ContractError, PluginError
from plugins.sdk.hooks import hooks
from plugins.sdk.markers import PROJECT
from plugins.sdk.work import Work


class Trusted:
    """Loads what it can; what it cannot is in `refused`, and the rest works."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self.refused: list[Refused] = []
        self._calls: dict[tuple[str, str], pluggy.HookImpl] = {}
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        for plugin in plugins:
            try:
                self._load(plugin)
            except Exception as error:  # noqa: BLE001 - one plugin's failure is its own
                self.refused.append(Refused(plugin.name, f"{type(error).__name__}: {error}"))

    def implements(self, plugin: str, hook: str) -> bool:
        return (plugin, hook) in self._calls

    def call(
        self,
        plugin: str,
        hook: str,
        args: Mapping[str, Any],
        settings: Mapping[str, Any],
        order: WorkOrder | None,
    ) -> Any:
        """Return the checked answer. Raises CallFailed."""
        implementation = self._calls[plugin, hook]
        given = dict(args)
        if order is not None:
            given["work"] = Work(settings, order.handles(), InProcessPort(order), order.state)
        try:
            value = implementation.function(*(given[name] for name in implementation.argnames))
            return from_json(hooks()[hook].returns, to_json(value), hook)
        except ContractError as error:
            raise CallFailed("contract", str(error)) from error
        except Cancelled as error:
            raise CallFailed("cancelled", str(error)) from error
        except PluginError as error:
            raise CallFailed("refused", str(error)) from error
        except Exception as error:
            raise CallFailed("raised", f"{type(error).__name__}: {error}") from error

    def _load(self, plugin: Plugin) -> None:
        module, _, attribute = plugin.entry.partition(":")
        found = importlib.import_module(module)
        registered = getattr(found, attribute) if attribute else found
        try:
            self._manager.register(registered, plugin.name)
            self._manager.check_pending()
        except Exception:
            if self._manager.get_plugin(plugin.name) is not None:
                self._manager.unregister(name=plugin.name)
            raise
        for caller in self._manager.get_hookcallers(registered) or ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin_name == plugin.name:
                    self._calls[plugin.name, caller.name] = implementation
