"""Usage whose connection breaks under it: written once when the database is there again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.scope import system_scope
from tenants.pricing.models import Charge
from tenants.usage.models import UsageEvent
from tests.stores import Stores
from tests.tenants.usage.factories import tenant_make
from tests.workers.serving.gateway.test_group_commit import commit, event, with_book
from workers.serving.gateway.database import Connection, Database
from workers.serving.gateway.usage import UsageBook

pytestmark = pytest.mark.django_db

Break = Callable[["Connection"], Awaitable[None]]


class Breaking(Database):
    """Breaks the connection of its first transaction: before its statements, or before its end."""

    def __init__(self, break_: Break, *, late: bool) -> None:
        super().__init__()
        self.break_, self.late, self.transactions = break_, late, 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        self.transactions += 1
        is_first = self.transactions == 1
        async with super().transaction() as connection:
            if is_first and not self.late:
                await self.break_(connection)
            yield connection
            if is_first and self.late:
                await self.break_(connection)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("how", ["by the server", "by us"])
def test_nothing_is_lost_or_written_twice(stores: Stores, how: str, late: bool) -> None:
    platform_tenant_ensure()
    tenant_id = tenant_make()

    async def killed(connection: Connection) -> None:
        stores.superuser.execute(
            "SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid]
        )

    async def closed(connection: Connection) -> None:
        await connection.close()

    async def work(book: UsageBook) -> list[Any]:
        found = await asyncio.gather(
            *(commit(book, tenant_id, event(key)) for key in "abc"), return_exceptions=True
        )
        await commit(book, tenant_id, event("later"))
        return found

    database = Breaking(killed if how == "by the server" else closed, late=late)
    # when the connection of the first group breaks
    assert with_book(database, work) == [None] * 3
    # then a further try has written all of it, once, and the book goes on
    assert database.transactions == 3
    with system_scope():
        assert sorted(UsageEvent.objects.values_list("key", flat=True)) == ["a", "b", "c", "later"]
        assert Charge.objects.count() == 4
