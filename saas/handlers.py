"""Who hears what: the one table from events to handlers.

Each name is permanent: the inbox knows it by it. Handlers run in the relay's transaction, as the
system.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from plugins.sdk.contracts import JobFinished
from tenants.accounts.events import TenantClosed
from tenants.billing.events import (
    CreditNoteIssued,
    InvoiceFinalised,
    InvoiceReminded,
    InvoiceVoided,
    InvoiceWrittenOff,
    PaymentReceived,
    TaxProfileChanged,
)
from tenants.billing.services.statements import statements_close
from tenants.billing.services.tax import tax_apply
from tenants.billing.stripe import following as to_stripe
from tenants.billing.stripe.events import (
    StripeCallQueued,
    StripeEventReceived,
    StripeVisitAsked,
)
from tenants.kernel.events import Event
from tenants.kernel.outbox import HandlerTable, Subscription
from tenants.market.events import RivalMoved
from tenants.market.services import alert_tell
from tenants.marketplace.events import ListingMoved, OrderMoved, OrderRated
from tenants.marketplace.services.listings import listing_follow_suspension
from tenants.marketplace.services.order_money import order_settle
from tenants.marketplace.services.orders import rating_count
from tenants.marketplace.states import ListingState, OrderState
from tenants.partners.events import PluginDisabled, PluginEnabled, PluginSuspended
from tenants.partners.services import installs_count
from tenants.partners.services.reactions import reaction_note
from tenants.pricing.events import ContractChanged
from workers.assets.events import DatasetAsked
from workers.jobs.events import JobCancelled, JobFailed, JobQueued, JobSucceeded
from workers.jobs.services import job_children_cancel, job_go_on
from workers.serving.events import DeploymentSlept, DeploymentWoken
from workers.serving.services import deployments_ensure_for_job
from workers.tasks.hints import (
    hint_send,
    plugins_send,
    reading_send,
    reconcile_send,
    review_send,
    stripe_send,
    webhooks_send,
)

_ENDS: Mapping[type[Event], Literal["succeeded", "failed", "cancelled"]] = {
    JobSucceeded: "succeeded",
    JobFailed: "failed",
    JobCancelled: "cancelled",
}


def _hint(event: JobQueued) -> None:
    hint_send(event.queue)


def _offer_models(event: JobSucceeded) -> None:
    if event.tenant_id is not None:
        deployments_ensure_for_job(tenant_id=event.tenant_id, job_id=event.job_id)


def _ended(event: JobSucceeded | JobFailed | JobCancelled) -> None:
    if event.tenant_id is not None:
        job_go_on(tenant_id=event.tenant_id, job_id=event.job_id)


def _tell_plugins(event: JobSucceeded | JobFailed | JobCancelled) -> None:
    if event.tenant_id is None:
        return
    told = JobFinished(event.job_id, event.kind, _ENDS[type(event)])
    noted = reaction_note(
        tenant_id=event.tenant_id, hook="job_finished", key=event.job_id, args={"job": told}
    )
    if noted:
        plugins_send()


def _cancel_children(event: JobCancelled) -> None:
    if event.tenant_id is not None:
        job_children_cancel(tenant_id=event.tenant_id, job_id=event.job_id)


def _close_statements(event: TenantClosed) -> None:
    statements_close(tenant_id=str(event.tenant_id))


def _apply_tax(event: TaxProfileChanged) -> None:
    tax_apply(tenant_id=str(event.tenant_id))


def _count_installs(event: PluginEnabled | PluginDisabled) -> None:
    installs_count(tenant_id=str(event.tenant_id), plugin=event.plugin)


def _suspend_listing(event: PluginSuspended) -> None:
    listing_follow_suspension(release_id=event.release_id, reason=event.reason)


def _review(event: ListingMoved) -> None:
    if event.state == ListingState.CHECKING:
        review_send()


def _settle_order(event: OrderMoved) -> None:
    if event.state in {OrderState.DECLINED, OrderState.CANCELLED}:
        order_settle(tenant_id=event.customer_id, order_id=event.order_id)


def _count_rating(event: OrderRated) -> None:
    rating_count(tenant_id=str(event.tenant_id), service_id=event.service_id, stars=event.stars)


def _reconcile(_: Event) -> None:
    reconcile_send()


def _read(_: Event) -> None:
    reading_send()


def _tell_alert(event: RivalMoved) -> None:
    if alert_tell(alert_id=event.alert_id):
        webhooks_send()


def _stripe(_: Event) -> None:
    stripe_send()


HANDLERS: HandlerTable = {
    DatasetAsked: (Subscription("datasets.read", _read),),
    JobQueued: (Subscription("jobs.hint", _hint),),
    JobSucceeded: (
        Subscription("serving.offer_models", _offer_models),
        Subscription("pipelines.go_on_succeeded", _ended),
        Subscription("plugins.job_succeeded", _tell_plugins),
    ),
    JobFailed: (
        Subscription("pipelines.go_on_failed", _ended),
        Subscription("plugins.job_failed", _tell_plugins),
    ),
    JobCancelled: (
        Subscription("pipelines.go_on_cancelled", _ended),
        Subscription("pipelines.cancel_children", _cancel_children),
        Subscription("plugins.job_cancelled", _tell_plugins),
    ),
    DeploymentWoken: (Subscription("serving.reconcile_woken", _reconcile),),
    DeploymentSlept: (Subscription("serving.reconcile_slept", _reconcile),),
    TenantClosed: (
        Subscription("billing.close_statements", _close_statements),
        Subscription("stripe.end_collections", to_stripe.end_collections),
    ),
    ContractChanged: (Subscription("stripe.end_collections", to_stripe.end_collections),),
    TaxProfileChanged: (Subscription("billing.apply_tax", _apply_tax),),
    InvoiceFinalised: (Subscription("stripe.collect_invoice", to_stripe.collect_invoice),),
    InvoiceReminded: (Subscription("stripe.charge_again", to_stripe.charge_invoice_again),),
    InvoiceVoided: (Subscription("stripe.void_invoice", to_stripe.void_invoice),),
    InvoiceWrittenOff: (Subscription("stripe.give_up_invoice", to_stripe.give_up_invoice),),
    PaymentReceived: (Subscription("stripe.report_payment", to_stripe.report_payment),),
    CreditNoteIssued: (Subscription("stripe.send_credit_note", to_stripe.send_credit_note),),
    PluginEnabled: (Subscription("partners.count_enabled", _count_installs),),
    PluginDisabled: (Subscription("partners.count_disabled", _count_installs),),
    PluginSuspended: (Subscription("marketplace.suspend_listing", _suspend_listing),),
    RivalMoved: (Subscription("market.tell_alert", _tell_alert),),
    ListingMoved: (Subscription("marketplace.review", _review),),
    OrderMoved: (Subscription("marketplace.settle_order", _settle_order),),
    OrderRated: (Subscription("marketplace.count_rating", _count_rating),),
    StripeVisitAsked: (Subscription("stripe.open_visit", to_stripe.open_visit),),
    StripeCallQueued: (Subscription("stripe.send_call", _stripe),),
    StripeEventReceived: (Subscription("stripe.handle_event", _stripe),),
}
