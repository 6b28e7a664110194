"""Thirty-two clients, jobs and calls, on one wallet: never a cent too much, never refused while
credit remains.

Jobs go through their services, each in a thread with its own connection; calls through the
gateway's programs, all in one event loop, with its pool. The wallet by itself is tested in
tests/tenants/ledger, also with its lock taken away.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connections

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.models import Tenant
from tenants.kernel.clock import now
from tenants.kernel.errors import InsufficientCredit
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.selectors import Balance, holds_open, unbalanced, wallet_balance
from tenants.ledger.services import hold_place
from tenants.pricing.models import Charge, PeriodTotal
from tenants.usage.ingestion import NewUsage
from tenants.usage.models import UsageEvent
from tests.workers.engine.factories import completions
from tests.workers.jobs.factories import actor_of, make_tenant, make_worker
from tests.workers.jobs.test_leases import Object
from tests.workers.tasks.factories import BASE_ID, register_base, upload
from workers.jobs.claims import claim
from workers.jobs.outcomes import Made, job_finish, snapshot_commit
from workers.jobs.services import job_submit
from workers.jobs.states import Kind
from workers.serving.gateway.admission import Model
from workers.serving.gateway.counts import (
    Counts,
    Ticket,
    charge_of,
    labels_of,
    priced_by,
    quantities,
    usage_of,
)
from workers.serving.gateway.database import Database
from workers.serving.gateway.funds import Funds, Reservation
from workers.serving.gateway.usage import UsageBook
from workers.serving.gateway.waking import Offer

pytestmark = pytest.mark.django_db

JOBS, CALLS = 16, 16
PROMPT, BLOCK, BLOCKS = 50, 100, 4  # tokens; each call generates all of its blocks
CALL = PROMPT * Decimal("0.0000006") + BLOCKS * BLOCK * Decimal("0.0000018")
TRAINED = Decimal("0.000004")


@dataclass
class Outcome:
    """What became of the clients' work."""

    jobs: int = 0
    calls: int = 0
    refused_jobs: int = 0
    refused_calls: int = 0
    cut_calls: list[int] = field(default_factory=list)  # tokens generated until credit ended
    errors: list[BaseException] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    register_base(tmp_path / "base")
    return make_tenant(max_running_jobs=JOBS)


@pytest.fixture
def spec(tenant: Tenant) -> dict[str, str]:
    return {"model": BASE_ID, "training_file_id": upload(tenant, completions(24))}


@pytest.fixture
def job_tokens(tenant: Tenant, spec: dict[str, str]) -> int:
    """Tokens that one job trains on, which is also its upper bound."""
    with tenant_scope(tenant.id):
        job = job_submit(actor=actor_of(tenant), kind=Kind.FINE_TUNE, spec=spec)
        tokens = int((job.bound or Decimal(0)) / TRAINED)
    finish_all(tenant, tokens=0)
    return tokens


def balance(tenant: Tenant) -> Balance:
    with tenant_scope(tenant.id):
        return wallet_balance(tenant_id=tenant.id, currency="USD")


def leave(tenant: Tenant, amount: Decimal) -> None:
    rest = balance(tenant).available.amount - amount
    with tenant_scope(tenant.id):
        hold_place(tenant_id=tenant.id, key="rest", amount=Money(rest, "USD"))


def finish_all(tenant: Tenant, *, tokens: int) -> None:
    """A worker does what is queued, each job in two halves."""
    worker = make_worker()
    while found := claim(worker_id=worker.id, slot=0, queue="train.cpu", lease_s=60):
        half = tokens // 2
        for start, count in ((0, half), (10, tokens - half)):
            event = NewUsage(
                meter="tokens.trained",
                quantity=Decimal(count),
                event_time=now(),
                source="jobs",
                key=f"{found.lease.job_id}:{start}-{start + 10}",
                dimensions={"model": BASE_ID, "base": BASE_ID, "job_id": found.lease.job_id},
            )
            events = [event] if count else []
            if start:
                job_finish(lease=found.lease, usage=events, make=lambda _: Made())
            else:
                stored = Object(found.lease.job_id)
                snapshot_commit(lease=found.lease, step=10, stored=stored, usage=events)


def submit_one(tenant: Tenant, spec: dict[str, str], outcome: Outcome) -> None:
    try:
        with tenant_scope(tenant.id):
            job_submit(actor=actor_of(tenant), kind=Kind.FINE_TUNE, spec=spec)
        with outcome.lock:
            outcome.jobs += 1
    except InsufficientCredit:
        with outcome.lock:
            outcome.refused_jobs += 1
    except BaseException as error:  # noqa: BLE001 -- shown by the test
        outcome.errors.append(error)
    finally:
        connections.close_all()


async def call_one(
    tenant: Tenant, number: int, funds: Funds, book: UsageBook, out: Outcome
) -> None:
    """As a stream: a block at a time, then one settlement, for what was generated."""
    actor = Actor(kind=ActorKind.API_KEY, id=f"key_{number}", tenant_id=tenant.id)
    model = Model(BASE_ID, "text_generation", BASE_ID, Path(), 1000, None, None)
    ticket = Ticket(f"req_{number}", "completions", actor, model, Offer("dep_x", BASE_ID, ""))
    reservation = Reservation(
        funds, tenant.id, ticket.request_id, priced_by(ticket), labels_of(ticket)
    )
    generated = 0
    try:
        for block in range(1, BLOCKS + 1):
            await reservation.cover(quantities(ticket, Counts(PROMPT, block * BLOCK)))
            await asyncio.sleep(0)
            generated = block * BLOCK
    except InsufficientCredit:
        if not generated:
            out.refused_calls += 1
            return
        out.cut_calls.append(generated)
    else:
        out.calls += 1
    events = usage_of(ticket, Counts(PROMPT, generated))
    charge = charge_of(ticket, events, reservation)
    await book.commit([(tenant.id, event) for event in events], charge)


async def call_all(tenant: Tenant, outcome: Outcome) -> None:
    database = Database()
    await database.open()
    try:
        funds, book = Funds(database), UsageBook(database)
        await asyncio.gather(
            *(call_one(tenant, number, funds, book, outcome) for number in range(CALLS))
        )
    finally:
        await database.close()


def all_at_once(tenant: Tenant, spec: dict[str, str]) -> Outcome:
    outcome = Outcome()
    threads: Sequence[threading.Thread] = [
        threading.Thread(target=submit_one, args=(tenant, spec, outcome)) for _ in range(JOBS)
    ]
    for thread in threads:
        thread.start()
    asyncio.run(call_all(tenant, outcome))
    for thread in threads:
        thread.join()
    assert outcome.errors == []
    return outcome


def charged(tenant: Tenant) -> Decimal:
    with tenant_scope(tenant.id):
        return sum((row.net for row in Charge.objects.all()), Decimal(0))


def assert_books_right(tenant: Tenant) -> None:
    with system_scope():
        assert unbalanced() == []
        open_keys = [hold.key for hold in holds_open(tenant_id=tenant.id)]
        totals = dict(PeriodTotal.objects.values_list("price_key", "quantity"))
        used: dict[str, Decimal] = {}
        for meter, quantity in UsageEvent.objects.values_list("meter", "quantity"):
            used[meter] = used.get(meter, Decimal(0)) + quantity
    assert open_keys == ["rest"]
    assert totals == used


def test_credit_for_all_of_them_lets_all_of_them_in_and_ends_at_zero(
    tenant: Tenant, spec: dict[str, str], job_tokens: int
) -> None:
    needed = JOBS * job_tokens * TRAINED + CALLS * CALL
    leave(tenant, needed)

    outcome = all_at_once(tenant, spec)
    finish_all(tenant, tokens=job_tokens)

    assert (outcome.jobs, outcome.calls) == (JOBS, CALLS)
    assert charged(tenant) == needed
    assert balance(tenant).available.amount == 0
    assert balance(tenant).owed.amount == 0
    assert_books_right(tenant)


@pytest.mark.parametrize("share", ["0.2", "0.5", "0.9"])
def test_credit_for_some_of_them_is_used_up_and_never_passed(
    tenant: Tenant, spec: dict[str, str], job_tokens: int, share: str
) -> None:
    job = job_tokens * TRAINED
    credit = ((JOBS * job + CALLS * CALL) * Decimal(share)).quantize(Decimal("1E-12"))
    leave(tenant, credit)

    outcome = all_at_once(tenant, spec)
    left = balance(tenant).available.amount
    finish_all(tenant, tokens=job_tokens)

    # nothing was given back meanwhile, so what is left was there at every refusal
    prompt, token = PROMPT * Decimal("0.0000006"), Decimal("0.0000018")
    first, further = prompt + BLOCK * token, BLOCK * token
    if outcome.refused_jobs:
        assert left < job
    if outcome.refused_calls:
        assert left < first
    if outcome.cut_calls:
        assert left < further
    assert outcome.refused_jobs or outcome.refused_calls or outcome.cut_calls
    streamed = sum(
        PROMPT * Decimal("0.0000006") + n * Decimal("0.0000018") for n in outcome.cut_calls
    )
    assert charged(tenant) == outcome.jobs * job + outcome.calls * CALL + streamed
    assert charged(tenant) == credit - balance(tenant).available.amount
    assert 0 <= balance(tenant).available.amount == left
    assert balance(tenant).owed.amount == 0
    assert_books_right(tenant)
