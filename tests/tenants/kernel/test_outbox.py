"""The outbox: nothing lost, nothing twice, in order within an aggregate."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import threading
import time

import psycopg
import pytest
import structlog
from django.db import connections, transaction

from saas.runtime.layout import ROOT
from tenants.accounts.actors import system_actor
from tenants.accounts.audit import audit_record
from tenants.accounts.models import AuditEntry
from tenants.kernel.events import Event
from tenants.kernel.models import InboxEntry, OutboxEvent
from tenants.kernel.outbox import CHANNEL, MAX_BACK_OFF, drain, emit
from tenants.kernel.scope import (
    SYSTEM,
    Scope,
    ScopeError,
    current_scope,
    system_scope,
    tenant_scope,
)
from tests.stores import Stores
from tests.tenants.accounts.factories import tenant_make
from tests.tenants.kernel.factories import TENANT, Memory, emitted, moved, table

pytestmark = pytest.mark.django_db


def waiting() -> list[OutboxEvent]:
    with system_scope():
        return list(OutboxEvent.objects.filter(delivered_at=None).order_by("id"))


def make_due() -> None:
    """As if the back-off had passed."""
    with system_scope():
        OutboxEvent.objects.update(available_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))


def drain_all(handlers) -> int:  # type: ignore[no-untyped-def]
    total = 0
    while count := drain(handlers):
        total += count
    return total


def test_events_reach_their_handlers_once_and_in_order() -> None:
    memory = Memory()
    emitted(*(moved("a", step) for step in range(5)))

    assert drain(table(memory)) == 5
    assert drain(table(memory)) == 0
    assert memory.steps("a") == [0, 1, 2, 3, 4]
    assert waiting() == []


def test_an_event_leaves_with_its_transaction_or_not_at_all() -> None:
    memory = Memory()
    with pytest.raises(ZeroDivisionError), tenant_scope(TENANT):
        emit_and_fail()

    assert drain(table(memory)) == 0
    assert memory.seen == []


def emit_and_fail() -> None:
    emit(moved("a", 0))
    raise ZeroDivisionError


def test_a_tenant_emits_its_own_events_only() -> None:
    for tenant_id in ("ten_other", None):
        with pytest.raises(ScopeError), tenant_scope(TENANT):
            emit(moved("a", 0, tenant_id))
    with pytest.raises(ScopeError):
        emit(moved("a", 0))
    with system_scope():
        emit(moved("a", 0), moved("a", 1, "ten_other"), moved("a", 2, None))
    assert len(waiting()) == 3


def test_draining_is_refused_inside_any_transaction() -> None:
    for outer in (
        system_scope(),
        tenant_scope(TENANT),
        transaction.atomic(using=SYSTEM),
    ):
        with outer, pytest.raises(ScopeError):
            drain({})


def test_handlers_act_for_the_system() -> None:
    scopes: list[Scope | None] = []
    emitted(moved("a", 0))
    drain(table(lambda event: scopes.append(current_scope())))

    assert scopes == [Scope(None)]


def test_no_more_than_the_limit_is_taken_at_once() -> None:
    memory = Memory()
    emitted(*(moved("a", step) for step in range(5)))

    assert [drain(table(memory), limit=2) for _ in range(4)] == [2, 2, 1, 0]


def test_a_failure_holds_back_its_own_aggregate_only() -> None:
    memory = Memory()
    memory.fails_on = {("a", 1)}
    emitted(*(moved(thing, step) for step in range(3) for thing in ("a", "b")))

    drain_all(table(memory))

    assert memory.steps("a") == [0]
    assert memory.steps("b") == [0, 1, 2]
    (failed, follower) = waiting()
    assert (failed.attempts, follower.attempts) == (1, 0)
    assert "cannot move a now" in failed.last_error


def test_order_is_kept_over_failures_also_beyond_the_batch() -> None:
    memory = Memory()
    memory.fails_on = {("a", 0)}
    emitted(*(moved("a", step) for step in range(6)))

    for _ in range(3):
        drain(table(memory), limit=2)
        make_due()
    memory.fails_on = set()
    drain_all(table(memory))

    assert memory.steps("a") == [0, 1, 2, 3, 4, 5]


def test_what_a_failed_handler_wrote_is_undone_and_what_others_wrote_is_not_repeated() -> None:
    tenant_id = tenant_make().tenant.id
    with system_scope():
        OutboxEvent.objects.all().delete()
    good, bad = Memory(), Memory()
    bad.fails_on = {("a", 0)}

    def record_then(handle: Memory, action: str):  # type: ignore[no-untyped-def]
        def handler(event: Event) -> None:
            audit_record(actor=system_actor(tenant_id), action=action, target="a")
            handle(event)

        return handler

    handlers = table(record_then(good, "good"), record_then(bad, "bad"))
    with tenant_scope(tenant_id):
        emit(moved("a", 0, tenant_id))
    drain(handlers)
    with system_scope():
        assert AuditEntry.objects.filter(action="good").count() == 1
        assert not AuditEntry.objects.filter(action="bad").exists()
    bad.fails_on = set()
    make_due()
    drain(handlers)

    with system_scope():
        for action in ("good", "bad"):
            assert AuditEntry.objects.filter(action=action).count() == 1
        assert InboxEntry.objects.count() == 2
    assert good.seen == bad.seen == [("a", 0)]


def test_a_broken_query_in_a_handler_spoils_nothing_else() -> None:
    memory = Memory()

    def broken(event: Event) -> None:
        with connections[SYSTEM].cursor() as cursor:
            cursor.execute("SELECT 1/0")

    emitted(moved("a", 0), moved("b", 0))
    drain(table(memory, broken))

    assert memory.seen == [("a", 0), ("b", 0)]
    assert [row.attempts for row in waiting()] == [1, 1]


def test_the_back_off_doubles_from_a_second_to_its_cap_however_many_handlers_fail() -> None:
    def fails(event: Event) -> None:
        raise RuntimeError

    delays: list[float] = []
    emitted(moved("a", 0))
    for _ in range(11):
        make_due()
        with system_scope(), connections[SYSTEM].cursor() as cursor:
            cursor.execute("SELECT now()")
            before = cursor.fetchone()[0]
        drain(table(fails, fails))
        (row,) = waiting()
        delays.append((row.available_at - before).total_seconds())

    expected = [min(2.0**n, MAX_BACK_OFF.total_seconds()) for n in range(11)]
    assert delays == pytest.approx(expected, abs=0.9)
    assert row.attempts == 11


def test_an_event_of_a_newer_version_waits_for_that_version() -> None:
    memory = Memory()
    emitted(moved("a", 0), moved("a", 1), moved("b", 0))
    with system_scope():
        OutboxEvent.objects.filter(pk=waiting()[0].pk).update(name="not.yet.known")
    drain_all(table(memory))
    assert memory.seen == [("b", 0)]

    with system_scope():
        OutboxEvent.objects.filter(name="not.yet.known").update(name="test.moved")
    make_due()
    drain_all(table(memory))
    assert memory.steps("a") == [0, 1]


def test_an_event_without_handlers_is_delivered_to_nobody() -> None:
    emitted(moved("a", 0))

    assert drain({}) == 1
    assert waiting() == []


def test_two_relays_never_deliver_at_once() -> None:
    memory, inside, release = Memory(), threading.Event(), threading.Event()

    def slow(event: Event) -> None:
        inside.set()
        assert release.wait(20)
        memory(event)

    def first_relay() -> None:
        drain(table(slow))
        connections.close_all()

    emitted(*(moved("a", step) for step in range(3)))
    thread = threading.Thread(target=first_relay)
    thread.start()
    assert inside.wait(20)
    assert drain(table(memory)) == 0
    release.set()
    thread.join(20)

    assert memory.steps("a") == [0, 1, 2]
    assert drain(table(memory)) == 0


DRAINER = """
import django; django.setup()
import os, signal
from tenants.accounts.actors import system_actor
from tenants.accounts.audit import audit_record
from tenants.kernel.outbox import drain
from tests.tenants.kernel.factories import table
def effect(event):
    audit_record(actor=system_actor(event.tenant_id), action="effect", target=str(event.step))
    if event.step == {dies_at}:
        os.kill(os.getpid(), signal.SIGKILL)
while drain(table(effect), limit=4):
    pass
"""


def run_drainer(dies_at: int) -> int:
    command = [sys.executable, "-c", DRAINER.format(dies_at=dies_at)]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=60).returncode


def test_a_relay_killed_in_the_middle_of_a_batch_leaves_each_effect_once() -> None:
    tenant_id = tenant_make().tenant.id
    with system_scope():
        OutboxEvent.objects.all().delete()
        emit(*(moved(f"thing-{step % 3}", step, tenant_id) for step in range(12)))

    deaths = [run_drainer(dies_at) for dies_at in (1, 6, 11)]
    assert deaths == [-signal.SIGKILL] * 3
    assert run_drainer(dies_at=-1) == 0

    with system_scope():
        effects = AuditEntry.objects.filter(action="effect").values_list("target", flat=True)
        assert sorted(map(int, effects)) == list(range(12))
    assert waiting() == []


def test_emitting_wakes_the_relay_on_commit(stores: Stores) -> None:
    with psycopg.connect(stores.postgres.url(stores.roles.database), autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}")
        emitted(moved("a", 0))
        (note,) = listener.notifies(timeout=10, stop_after=1)
    assert note.channel == CHANNEL


def test_the_trace_goes_with_the_event() -> None:
    with structlog.contextvars.bound_contextvars(trace_id="req_1"):
        emitted(moved("a", 0))
    assert waiting()[0].trace_id == "req_1"


def test_the_rate_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    memory = Memory()
    for batch in range(20):
        emitted(*(moved(f"thing-{n}", batch) for n in range(100)))
    started = time.perf_counter()
    total = drain_all(table(memory))
    took = time.perf_counter() - started

    assert total == len(memory.seen) == 2_000
    with capsys.disabled():
        print(f"\n  outbox: {total / took:,.0f} events/s in batches of 100")  # noqa: T201
