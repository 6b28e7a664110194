"""Facts about deployments."""

from __future__ import annotations

from dataclasses import dataclass

from tenants.kernel.events import Event


@dataclass(frozen=True)
class DeploymentCreated(Event, name="deployment.created", aggregate="deployment_id"):
    deployment_id: str
    model: str


@dataclass(frozen=True)
class DeploymentWoken(Event, name="deployment.woken", aggregate="deployment_id"):
    """A request came for a sleeping deployment; the reconciler starts a replica."""

    deployment_id: str
    target: str


@dataclass(frozen=True)
class DeploymentReady(Event, name="deployment.ready", aggregate="deployment_id"):
    deployment_id: str
    target: str


@dataclass(frozen=True)
class DeploymentSlept(Event, name="deployment.slept", aggregate="deployment_id"):
    deployment_id: str
    target: str


@dataclass(frozen=True)
class DeploymentFailed(Event, name="deployment.failed", aggregate="deployment_id"):
    """Its replicas keep failing; the reconciler goes on trying, ever more rarely."""

    deployment_id: str
    target: str
    error: str


@dataclass(frozen=True)
class DeploymentDeleted(Event, name="deployment.deleted", aggregate="deployment_id"):
    deployment_id: str
    model: str
