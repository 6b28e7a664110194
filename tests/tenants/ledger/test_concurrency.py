"""Thirty-two clients on one wallet: not a cent too much, and no false refusal.

The same test against a database whose lock was taken out must fail: else it would prove nothing.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

import pytest
from django.conf import settings
from django.db import connections
from psycopg import Connection, Error

from tenants.kernel.errors import BreakwaterError
from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.chart import GrantKind, RevenueLine
from tenants.ledger.errors import CreditExhausted, translate
from tenants.ledger.functions import source
from tenants.ledger.models import Hold, LedgerTransaction, Wallet
from tenants.ledger.selectors import unbalanced
from tenants.ledger.statements import (
    ChargeLine,
    Statement,
    charge_statement,
    hold_statement,
    release_statement,
)
from tests.tenants.ledger.factories import balance_of, customer_make, grant_make, usd

pytestmark = pytest.mark.django_db

CLIENTS = 32
UNIT = Decimal("0.25")
LOCK = "FOR NO KEY UPDATE"


@dataclass
class Counted:
    """What one client got done; `broken` is any refusal but for want of credit."""

    charged: int = 0
    refused: int = 0
    broken: str = ""


class Client(threading.Thread):
    """Holds and charges one unit at a time, on a connection of its own, until it is refused."""

    def __init__(
        self, tenant_id: str, number: int, start: threading.Barrier, released: int
    ) -> None:
        super().__init__()
        self.tenant_id, self.number, self.start_line = tenant_id, number, start
        self.random = random.Random(number)
        self.released = released  # how many holds it gives back before it begins to charge
        self.counted = Counted()

    def run(self) -> None:
        target = settings.DATABASES["default"]
        with Connection.connect(
            host=target["HOST"], port=target["PORT"], user=target["USER"],
            password=target["PASSWORD"], dbname=connections["default"].settings_dict["NAME"],
            autocommit=True,
        ) as connection:  # fmt: skip
            self.start_line.wait()
            try:
                for turn in range(1000):
                    self.turn(connection, f"{self.number}:{turn}", give_back=turn < self.released)
            except CreditExhausted:
                self.counted.refused += 1
            except (BreakwaterError, Error) as error:
                self.counted.broken = repr(error)

    def turn(self, connection: Connection, key: str, *, give_back: bool) -> None:
        self.call(connection, hold_statement(tenant_id=self.tenant_id, key=key, amount=usd(UNIT)))
        if give_back:
            self.call(connection, release_statement(tenant_id=self.tenant_id, key=key))
            return
        charge = charge_statement(
            tenant_id=self.tenant_id,
            currency="USD",
            key=f"charge:{key}",
            lines=[ChargeLine(RevenueLine.TOKENS, UNIT)],
            hold_key=key,
        )
        self.call(connection, charge)
        self.counted.charged += 1

    def call(self, connection: Connection, statement: Statement) -> None:
        try:
            with connection.transaction():
                connection.execute("SELECT set_config('app.tenant', %s, true)", [self.tenant_id])
                connection.execute(statement.sql, statement.params)
        except Error as error:
            raise translate(error) from error


def rush(tenant_id: str, released: int = 0) -> list[Counted]:
    start = threading.Barrier(CLIENTS)
    clients = [Client(tenant_id, number, start, released) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(timeout=120)
    assert not any(client.is_alive() for client in clients)
    return [client.counted for client in clients]


def rich_tenant() -> str:
    """40 of credit in three grants, and 10 that may be owed: 200 units in all."""
    tenant_id = customer_make(credit_limit="10")
    for amount, kind in (
        ("7.5", GrantKind.PROMOTION),
        ("20", GrantKind.PAID),
        ("12.5", GrantKind.PAID),
    ):
        grant_make(tenant_id, amount, kind)
    return tenant_id


def require_exact(tenant_id: str, counted: list[Counted]) -> None:
    """Every unit of credit was sold once, and only then was anybody refused."""
    assert [c.broken for c in counted if c.broken] == []
    assert sum(c.charged for c in counted) == 200
    assert [c.refused for c in counted] == [1] * CLIENTS
    balance = balance_of(tenant_id)
    assert (balance.available.amount, balance.held.amount) == (0, 0)
    assert balance.owed == usd("10")
    with system_scope():
        assert LedgerTransaction.objects.filter(kind="charge").count() == 200
        assert not Hold.objects.filter(state="open").exists()
        assert Wallet.objects.get(tenant_id=tenant_id).receivable == 10
        assert unbalanced() == []
        assert projections_wrong() == []


def test_thirty_two_clients_spend_exactly_what_there_is() -> None:
    tenant_id = rich_tenant()
    require_exact(tenant_id, rush(tenant_id))


def test_credit_that_others_give_back_is_sold_too() -> None:
    """A hold given back must be found by the others: two rounds of holds let go, then a rush."""
    tenant_id = rich_tenant()
    require_exact(tenant_id, rush(tenant_id, released=2))


@contextmanager
def without_the_lock() -> Iterator[None]:
    """The database as it would be if the wallet were only read."""
    wallet_sql = source("wallet.sql")
    assert wallet_sql.count(LOCK) == 1
    with connections["owner"].cursor() as cursor:
        cursor.execute(wallet_sql.replace(LOCK, ""))
        try:
            yield
        finally:
            cursor.execute(wallet_sql)


def test_this_test_would_notice_if_the_lock_were_gone() -> None:
    tenant_id = rich_tenant()
    with without_the_lock():
        counted = rush(tenant_id)
    with pytest.raises(AssertionError):
        require_exact(tenant_id, counted)


def test_the_lock_is_back() -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'wallet_locked'")
        assert LOCK in cursor.fetchone()[0]
