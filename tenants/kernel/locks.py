"""The permanent registry of advisory-lock numbers: a number is never reused.

Locks are transaction-scoped only.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

from enum import IntEnum

from django.db import connections

from tenants.kernel.scope import required_scope


class AdvisoryLock(IntEnum):
    RELAY = 1001  # one relay drains the outbox at a time
    SCHEDULER = 1002  # one reaper sweeps at a time
    RECONCILER = 1003  # one reconciler counts replicas at a time
    CONTENT = 1004  # one writer at a time decides who keeps the bytes of equal content (keyed)
    SIGN_UP = 1005  # one sign-up at a time picks its slug and address (keyed)
    PARTNER = 1006  # one writer at a time moves what a partner may be paid (keyed; also in SQL)
    AGREEMENT = 1007  # one sale at a time counts towards tiers and caps (keyed; only in SQL)
    PRICES = 1008  # one writer at a time sets what anybody pays
    MARKET = 1010  # one file of rivals' prices is read at a time
    COSTS = 1011  # one writer at a time says what is paid, and what can be bought (keyed)


def try_advisory_lock(lock: AdvisoryLock) -> bool:
    """Take `lock` until the scope's transaction ends; False where another transaction holds it."""
    with connections[required_scope().alias].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int(lock)])
        return bool(cursor.fetchone()[0])


def advisory_lock(lock: AdvisoryLock, key: str) -> None:
    """Wait for `lock` on one `key`, and hold it until the scope's transaction ends."""
    with connections[required_scope().alias].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [int(lock), key])
