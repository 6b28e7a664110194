"""Celery's entry points: a few lines each.

Work is claimed from the database, never named in a message.
"""

from __future__ import annotations

from celery import shared_task

from tenants.accounts.services import platform_tenant_ensure
from tenants.billing.services.dunning import dunning_advance
from tenants.billing.services.statements import statements_advance
from tenants.billing.services.tax import taxes_apply
from tenants.billing.stripe.client import stripe_is_on
from tenants.billing.stripe.handling import events_handle, events_purge
from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tenants.billing.stripe.reporting import streams_report
from tenants.billing.stripe.sending import calls_send
from tenants.billing.stripe.services.endings import collections_end
from tenants.kernel.idempotency import idempotent_requests_purge
from tenants.kernel.scope import system_scope
from tenants.ledger.services import grants_expire, holds_expire
from tenants.market.services import alerts_send, market_ensure
from tenants.marketplace.services.builtins import builtins_release
from tenants.marketplace.services.reviews import reviews_run, reviews_waiting
from tenants.marketplace.services.statements import partners_advance
from tenants.partners.services.reactions import reactions_call
from tenants.pricing.services import (
    contracts_apply,
    floors_sweep,
    losses_record,
    price_proposals_advance,
    usage_sweep,
)
from tenants.usage.partitions import partitions_ensure
from tenants.usage.telling import usage_tell
from workers.assets.reading import dataset_read_next, datasets_to_read
from workers.assets.retention import (
    files_expire,
    files_purge,
    orphans_purge,
    parts_purge,
    uploads_expire,
    versions_purge,
)
from workers.assets.services import base_model_measure_next
from workers.jobs.fleet import fleet
from workers.jobs.reaper import leases_reap, workers_bury
from workers.jobs.retention import snapshot_orphans_purge, snapshots_purge
from workers.jobs.waiting import jobs_take_up
from workers.serving.metering import deployments_meter, storage_meter
from workers.serving.reconcile import deployments_reconcile
from workers.serving.rent import deployments_hold
from workers.tasks import process_wide
from workers.tasks.hints import (
    PLUGINS,
    READ_DATASETS,
    RECONCILE,
    REVIEWS,
    STRIPE,
    WEBHOOKS,
    WORK_AVAILABLE,
    hints_repeat,
    reading_send,
    review_send,
)
from workers.waste.levers import levers_measure
from workers.waste.services import waste_measure, waste_sweep


@shared_task(name=WORK_AVAILABLE)  # acknowledged early: leases protect the work
def work_available(queue: str) -> None:
    process_wide.worker().work(queue)


@shared_task(name="control.reap", acks_late=True)
def reap() -> None:
    leases_reap()


@shared_task(name="control.hint", acks_late=True)
def hint() -> None:
    hints_repeat()
    with system_scope():
        waiting = reviews_waiting()
    if waiting:
        review_send()
    if datasets_to_read():
        reading_send()
    jobs_take_up()


@shared_task(name=REVIEWS)  # acknowledged early: leases protect the work
def review() -> None:
    reviews_run()


@shared_task(name=READ_DATASETS)  # acknowledged early: leases protect the reading
def read_datasets() -> None:
    """One dataset after another, and the jobs that wait for each, until this worker drains."""
    draining = process_wide.worker().draining
    while not draining.is_set() and dataset_read_next() is not None:
        jobs_take_up()


@shared_task(name="control.measure")
def measure() -> None:
    """One task of one base, while nothing else runs: what disturbs it widens the bounds."""
    with system_scope():
        idle = not fleet().busy
    if idle:
        base_model_measure_next()


@shared_task(name=RECONCILE, acks_late=True)
def reconcile() -> None:
    platform = platform_tenant_ensure()  # on a fresh system it is not there yet
    with system_scope():
        builtins_release(tenant_id=platform.id)
        market_ensure(tenant_id=platform.id)
    deployments_reconcile()
    deployments_hold()


@shared_task(name="control.sweep", acks_late=True)
def sweep() -> None:
    workers_bury()
    snapshots_purge()
    uploads_expire()
    parts_purge()
    files_expire()
    files_purge()
    versions_purge()
    idempotent_requests_purge()
    with system_scope():
        holds_expire()


@shared_task(name="control.orphans", acks_late=True)
def orphans() -> None:
    orphans_purge()
    snapshot_orphans_purge()


@shared_task(name="control.meter", acks_late=True)
def meter() -> None:
    storage_meter()
    deployments_meter()


@shared_task(name="control.waste", acks_late=True)
def waste() -> None:
    waste_sweep()
    waste_measure()
    levers_measure()


@shared_task(name="control.partitions", acks_late=True)
def partitions() -> None:
    partitions_ensure()


@shared_task(name="control.billing", acks_late=True)
def billing() -> None:
    with system_scope():
        grants_expire()
        contracts_apply()
    usage_sweep()
    taxes_apply()
    statements_advance()
    partners_advance()
    dunning_advance()


@shared_task(name="control.prices", acks_late=True)
def prices() -> None:
    losses_record()
    price_proposals_advance()


@shared_task(name="control.floors", acks_late=True)
def floors() -> None:
    floors_sweep()


@shared_task(name=PLUGINS, acks_late=True)
def plugins() -> None:
    reactions_call()
    usage_tell()


@shared_task(name=WEBHOOKS, acks_late=True)
def webhooks() -> None:
    alerts_send()


@shared_task(name=STRIPE, acks_late=True)
def stripe() -> None:
    if stripe_is_on():
        streams_report()
        calls_send()
        events_handle()


@shared_task(name="control.stripe_reconcile", acks_late=True)
def reconcile_stripe() -> None:
    if stripe_is_on():
        with system_scope():
            collections_end()
        events_purge()
        stripe_reconcile()
