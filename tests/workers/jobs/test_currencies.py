"""A job whose customer's contract goes on in another currency while it is at work."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest

from tenants.accounts.models import Tenant
from tenants.kernel.clock import now
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.chart import GrantKind
from tenants.ledger.selectors import holds_open, unbalanced, wallet_balance
from tenants.ledger.services import grant_issue, hold_place
from tenants.pricing.cards import month_bounds, period_of
from tenants.pricing.models import Contract
from tenants.pricing.services import fx_rate_set
from tests.tenants.pricing.books import operator_make
from tests.workers.jobs.factories import claimed, job_row, make_worker, queued_job
from tests.workers.jobs.money import TRAINED, charges, platforms_failure, trained
from tests.workers.jobs.test_leases import Object
from tests.workers.tasks.factories import BASE_ID, submit_fine_tune
from workers.jobs.fencing import Lease
from workers.jobs.outcomes import snapshot_commit
from workers.jobs.states import Kind, State

pytestmark = pytest.mark.django_db

RATE = Decimal("0.9")  # euros for a dollar


def available(tenant: Tenant, currency: str) -> Decimal:
    with tenant_scope(tenant.id):
        found = wallet_balance(tenant_id=tenant.id, currency=currency)
    assert found.held.amount == 0
    return found.available.amount


def work(lease: Lease, upto: int, at: dt.datetime, tokens: int = 100) -> None:
    event = replace(trained(lease.job_id, upto - 10, upto, tokens), event_time=at)
    snapshot_commit(lease=lease, step=upto, stored=Object(f"{lease.job_id}/{upto}"), usage=[event])


def euros_from_this_month_on(tenant: Tenant, credit: str = "50") -> None:
    actor = operator_make()
    with system_scope():
        fx_rate_set(actor=actor, base="USD", quote="EUR", rate=RATE)
        Contract.objects.create(
            id="contract_eur",
            tenant_id=tenant.id,
            starts=month_bounds(period_of(now()))[0],
            currency="EUR",
        )
        grant_issue(
            tenant_id=tenant.id,
            key="euros",
            kind=GrantKind.PAID,
            amount=Money.of(credit, "EUR"),
            source="manual",
        )


def test_what_failed_by_our_fault_is_given_back_in_each_currency(tenant: Tenant) -> None:
    job = submit_fine_tune(tenant)
    claim = claimed(make_worker())
    month_starts = month_bounds(period_of(now()))[0]
    # when it is charged in dollars for last month's work, and in euros for this month's
    work(claim.lease, 10, month_starts - dt.timedelta(hours=1))
    euros_from_this_month_on(tenant)
    work(claim.lease, 20, now())
    # then it shows what it was charged in the latter, and holds nothing in the former any more
    row = job_row(job.id)
    assert (row.charged, row.currency) == (100 * TRAINED * RATE, "EUR")
    assert [charge.currency for charge in charges(job.id)] == ["USD", "EUR"]
    assert available(tenant, "USD") == 1000 - 100 * TRAINED
    # when the platform fails it
    platforms_failure(claim.lease, job.id)
    # then both are back where they came from
    assert job_row(job.id).charged == 0
    assert available(tenant, "USD") == 1000
    assert available(tenant, "EUR") == 50
    with system_scope():
        assert unbalanced() == []


def held(tenant: Tenant) -> dict[str, Decimal]:
    with system_scope():
        return {hold.wallet.currency: hold.left for hold in holds_open(tenant_id=tenant.id)}


def test_the_promise_goes_on_in_the_new_currency_at_the_operators_rate(tenant: Tenant) -> None:
    job = submit_fine_tune(tenant)
    assert job.bound is not None
    claim = claimed(make_worker())
    month_starts = month_bounds(period_of(now()))[0]
    work(claim.lease, 10, month_starts - dt.timedelta(hours=1))
    euros_from_this_month_on(tenant)
    # when it goes on in euros
    work(claim.lease, 20, now())
    # then what is left of the promise holds there, and is held there
    promised = (job.bound - 100 * TRAINED) * RATE
    assert job_row(job.id).bound == promised
    assert held(tenant) == {"EUR": promised - 100 * TRAINED * RATE}
    # and however much it uses, it is charged no more than that
    work(claim.lease, 30, now(), tokens=10**9)
    assert job_row(job.id).charged == promised
    with system_scope():
        assert (unbalanced(), projections_wrong()) == ([], [])


def test_without_credit_for_the_rest_in_the_new_currency_it_pauses(tenant: Tenant) -> None:
    submit_fine_tune(tenant)
    claim = claimed(make_worker())
    euros_from_this_month_on(tenant, credit="0.0005")
    work(claim.lease, 10, now())
    assert job_row(claim.lease.job_id).state == State.PAUSING


def test_work_without_a_firm_bound_sets_its_next_stretch_aside_in_the_new_currency(
    tenant: Tenant,
) -> None:
    job = queued_job(
        tenant,
        kind=Kind.BATCH,
        quote_id="quote_x",
        currency="USD",
        quoted={"currency": "USD"},
        spec={"model": BASE_ID},
    )
    with tenant_scope(tenant.id):
        hold_place(tenant_id=tenant.id, key=f"job:{job.id}", amount=Money.of("0.0005", "USD"))
    claim = claimed(make_worker())
    euros_from_this_month_on(tenant)
    for upto in (10, 20):
        work(claim.lease, upto, now())
        assert held(tenant) == {"EUR": 100 * TRAINED * RATE}
    assert available(tenant, "USD") == 1000
