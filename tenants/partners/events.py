"""Facts about partners, their agreements and plugins."""

from __future__ import annotations

from dataclasses import dataclass

from tenants.kernel.events import Event


@dataclass(frozen=True)
class AgreementChanged(Event, name="agreement.changed", aggregate="agreement_id"):
    """A partner's terms have a new version, or an end."""

    agreement_id: str
    number: int


@dataclass(frozen=True)
class PluginEnabled(Event, name="plugin.enabled", aggregate="installation_id"):
    """A tenant enabled a plugin, or goes on with another version of it."""

    installation_id: str
    plugin: str
    version: str


@dataclass(frozen=True)
class PluginDisabled(Event, name="plugin.disabled", aggregate="installation_id"):
    """A tenant enables a plugin no longer."""

    installation_id: str
    plugin: str


@dataclass(frozen=True)
class PluginSuspended(Event, name="plugin.suspended", aggregate="release_id"):
    """A release is called no more, and why; `tenant_id` is its partner's."""

    release_id: str
    plugin: str
    version: str
    reason: str
