"""What a tenant is told of how its work could run for less."""

from __future__ import annotations

from dataclasses import dataclass

from tenants.kernel.events import Event


@dataclass(frozen=True)
class SharingSuggested(Event, name="sharing.suggested", aggregate="tenant_id"):
    """Its fine-tunes of `base` would take less if they might share passes."""

    base: str


@dataclass(frozen=True)
class CompressionProposed(Event, name="compression.proposed", aggregate="deployment_id"):
    """A smaller `model`, at `latency` of its time, keeps the quality that was asked for."""

    deployment_id: str
    model: str
    latency: str
