"""What serving does when it hears of others' facts. Called by the relay, in the system's scope."""

from __future__ import annotations

from tenants.kernel.events import Event
from workers.jobs.events import JobSucceeded
from workers.jobs.states import Kind
from workers.serving.reconcile import deployments_reconcile
from workers.serving.services import deployments_ensure_for_job


def on_job_succeeded(event: Event) -> None:
    """A fine-tuned model is callable at once."""
    assert isinstance(event, JobSucceeded) and event.tenant_id  # noqa: S101, PT018 -- the table's
    if event.kind == Kind.FINE_TUNE:
        deployments_ensure_for_job(tenant_id=event.tenant_id, job_id=event.job_id)


def on_deployment_woken(event: Event) -> None:
    """Start a replica now, not at the next round."""
    del event
    deployments_reconcile()
