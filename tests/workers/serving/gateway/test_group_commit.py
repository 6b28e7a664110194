"""Usage in groups: few transactions, each row once, one bad row alone refused."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from tenants.kernel.errors import Conflict, Unavailable
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.usage.ingestion import NewUsage
from tenants.usage.models import UsageEvent
from tests.tenants.usage.factories import tenant_make
from workers.serving.gateway import usage
from workers.serving.gateway.database import Connection, Database
from workers.serving.gateway.usage import UsageBook

pytestmark = pytest.mark.django_db

T = TypeVar("T")


class Counting(Database):
    """Counts transactions; the first `failing` of them do not reach the database."""

    def __init__(self, failing: int = 0) -> None:
        super().__init__()
        self.transactions, self.failing = 0, failing

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        self.transactions += 1
        if self.transactions <= self.failing:
            raise Unavailable("the database restarts")
        async with super().transaction() as connection:
            yield connection


def event(key: str, quantity: int = 1) -> NewUsage:
    return NewUsage(
        meter="tokens.output",
        quantity=Decimal(quantity),
        event_time=dt.datetime.now(dt.UTC),
        source="gateway",
        key=key,
        dimensions={"model": "m", "base": "m"},
    )


def with_book(database: Database, work: Callable[[UsageBook], Awaitable[T]]) -> T:
    async def run() -> T:
        await database.open()
        try:
            return await work(UsageBook(database))
        finally:
            await database.close()

    return asyncio.run(run())


def test_hundreds_at_once_need_a_handful_of_transactions() -> None:
    tenants = [tenant_make("Acme"), tenant_make("Rival")]
    database = Counting()

    async def work(book: UsageBook) -> None:
        rows = [[(tenants[n % 2], event(f"r{n}"))] for n in range(300)]
        await asyncio.gather(*(book.commit(row) for row in rows))

    with_book(database, work)
    assert database.transactions <= 5
    for tenant_id in tenants:
        with tenant_scope(tenant_id):
            assert UsageEvent.objects.count() == 150


def test_the_same_event_again_is_fine_another_under_its_key_is_not() -> None:
    tenant_id = tenant_make()

    async def work(book: UsageBook) -> list[Any]:
        await book.commit([(tenant_id, event("a"))])
        entries = [event("a"), event("a", quantity=2), event("b")]
        commits = (book.commit([(tenant_id, one)]) for one in entries)
        return await asyncio.gather(*commits, return_exceptions=True)

    # when a repeated, a conflicting and a good event come in one group
    found = with_book(Counting(), work)
    # then only the conflicting one is refused
    assert [isinstance(result, Conflict) for result in found] == [False, True, False]
    with system_scope():
        assert sorted(UsageEvent.objects.values_list("key", "quantity")) == [("a", 1), ("b", 1)]


def test_a_database_that_restarts_is_waited_for() -> None:
    tenant_id = tenant_make()
    database = Counting(failing=3)
    with_book(database, lambda book: book.commit([(tenant_id, event("a"))]))
    assert database.transactions == 4
    with system_scope():
        assert UsageEvent.objects.count() == 1


def test_one_that_stays_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    tenant_id = tenant_make()
    monkeypatch.setattr(usage, "PATIENCE_S", 0.3)
    with pytest.raises(Unavailable):
        with_book(Counting(failing=1000), lambda book: book.commit([(tenant_id, event("a"))]))


def test_a_caller_that_is_cancelled_leaves_its_rows_to_be_written() -> None:
    tenant_id = tenant_make()

    async def work(book: UsageBook) -> None:
        task = asyncio.create_task(book.commit([(tenant_id, event("a"))]))
        await asyncio.sleep(0)
        task.cancel()
        await book.flush()

    with_book(Counting(), work)
    with system_scope():
        assert UsageEvent.objects.count() == 1
