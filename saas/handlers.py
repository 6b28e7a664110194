"""Who hears what: the one table from events to handlers.

Each name is permanent: the inbox knows it by it. Handlers run in the relay's transaction, as the
system.
"""

from __future__ import annotations

from tenants.accounts.events import TenantClosed
from tenants.billing.events import TaxProfileChanged
from tenants.billing.services.statements import statements_close
from tenants.billing.services.tax import tax_apply
from tenants.billing.stripe.events import (
    StripeCallQueued,
    StripeEventReceived,
    StripeVisitAsked,
)
from tenants.billing.stripe.services.visits import visit_open
from tenants.kernel.events import Event
from tenants.kernel.outbox import HandlerTable, Subscription
from workers.jobs.events import JobQueued, JobSucceeded
from workers.serving.events import DeploymentSlept, DeploymentWoken
from workers.serving.services import deployments_ensure_for_job
from workers.tasks.hints import hint_send, reconcile_send, stripe_send


def _hint(event: JobQueued) -> None:
    hint_send(event.queue)


def _offer_models(event: JobSucceeded) -> None:
    if event.tenant_id is not None:
        deployments_ensure_for_job(tenant_id=event.tenant_id, job_id=event.job_id)


def _close_statements(event: TenantClosed) -> None:
    statements_close(tenant_id=str(event.tenant_id))


def _apply_tax(event: TaxProfileChanged) -> None:
    tax_apply(tenant_id=str(event.tenant_id))


def _reconcile(_: Event) -> None:
    reconcile_send()


def _open_visit(event: StripeVisitAsked) -> None:
    visit_open(tenant_id=str(event.tenant_id), visit_id=event.visit_id)


def _stripe(_: Event) -> None:
    stripe_send()


HANDLERS: HandlerTable = {
    JobQueued: (Subscription("jobs.hint", _hint),),
    JobSucceeded: (Subscription("serving.offer_models", _offer_models),),
    DeploymentWoken: (Subscription("serving.reconcile_woken", _reconcile),),
    DeploymentSlept: (Subscription("serving.reconcile_slept", _reconcile),),
    TenantClosed: (Subscription("billing.close_statements", _close_statements),),
    TaxProfileChanged: (Subscription("billing.apply_tax", _apply_tax),),
    StripeVisitAsked: (Subscription("stripe.open_visit", _open_visit),),
    StripeCallQueued: (Subscription("stripe.send_call", _stripe),),
    StripeEventReceived: (Subscription("stripe.handle_event", _stripe),),
}
