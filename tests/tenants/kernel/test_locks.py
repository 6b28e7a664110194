"""Advisory locks: held to the end of the transaction, one holder, one number each."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from tenants.kernel.locks import AdvisoryLock, advisory_lock, try_advisory_lock
from tenants.kernel.scope import ScopeError, system_scope, tenant_scope

pytestmark = pytest.mark.django_db


def in_another_thread(function):  # type: ignore[no-untyped-def]
    """Run `function` in a thread with connections of its own; return what it returned."""
    answers: list[object] = []

    def run() -> None:
        try:
            answers.append(function())
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=20)
    return answers[0] if answers else "still waiting"


def take() -> bool:
    with system_scope():
        return try_advisory_lock(AdvisoryLock.SCHEDULER)


def test_one_transaction_holds_a_lock_until_it_ends() -> None:
    with system_scope():
        assert try_advisory_lock(AdvisoryLock.SCHEDULER)
        assert in_another_thread(take) is False
    assert in_another_thread(take) is True


def test_locks_do_not_touch_each_other() -> None:
    with system_scope():
        assert try_advisory_lock(AdvisoryLock.RECONCILER)
        assert in_another_thread(take) is True


def test_a_keyed_lock_makes_the_second_wait_for_the_first() -> None:
    order: list[str] = []
    holding, asking = threading.Event(), threading.Event()

    def second() -> None:
        holding.wait(10)
        with tenant_scope("ten_b"):
            asking.set()
            advisory_lock(AdvisoryLock.CONTENT, "same")
            order.append("second")
        connections.close_all()

    thread = threading.Thread(target=second)
    thread.start()
    with tenant_scope("ten_a"):
        advisory_lock(AdvisoryLock.CONTENT, "same")
        holding.set()
        asking.wait(10)
        with connections["default"].cursor() as cursor:
            wait_until_one_waits(cursor)
        order.append("first")
    thread.join(timeout=20)
    assert order == ["first", "second"]


def wait_until_one_waits(cursor) -> None:  # type: ignore[no-untyped-def]
    waiting = False
    for _ in range(2_000):
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        waiting = cursor.fetchone()[0] > 0
        if waiting:
            break
        cursor.execute("SELECT pg_sleep(0.005)")
    assert waiting


def test_other_keys_do_not_wait() -> None:
    def other() -> str:
        with tenant_scope("ten_b"):
            advisory_lock(AdvisoryLock.CONTENT, "another")
        return "done"

    with tenant_scope("ten_a"):
        advisory_lock(AdvisoryLock.CONTENT, "same")
        assert in_another_thread(other) == "done"


def test_a_lock_needs_a_scope() -> None:
    with pytest.raises(ScopeError):
        try_advisory_lock(AdvisoryLock.RELAY)
    with pytest.raises(ScopeError):
        advisory_lock(AdvisoryLock.CONTENT, "x")


def test_numbers_are_never_shared() -> None:
    assert len({int(lock) for lock in AdvisoryLock}) == len(AdvisoryLock.__members__)
