"""Usage in groups: few transactions, each row once, one bad row alone refused."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, TypeVar, cast

import pytest

from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.errors import BreakwaterError, Conflict, Unavailable
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.services import hold_place
from tenants.pricing.charge_requests import ChargeItem, ChargeRequest
from tenants.pricing.models import Charge, PeriodTotal
from tenants.usage.ingestion import NewUsage
from tenants.usage.models import UsageEvent
from tests.tenants.pricing.books import credit_give
from tests.tenants.usage.factories import tenant_make
from workers.serving.gateway import usage
from workers.serving.gateway.database import Connection, Database
from workers.serving.gateway.usage import UsageBook

pytestmark = pytest.mark.django_db

T = TypeVar("T")


@pytest.fixture(autouse=True)
def _platform(db: None) -> None:
    """What is charged is the platform's revenue."""
    platform_tenant_ensure()


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


def commit(book: UsageBook, tenant_id: str, counted: NewUsage) -> Awaitable[None]:
    """Of one event and its charge."""
    item = ChargeItem(counted.meter, counted.quantity, counted.dimensions, counted.event_time)
    charge = ChargeRequest(tenant_id, f"request:{counted.key}", "request", counted.key, [item])
    return book.commit([(tenant_id, counted)], charge)


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
        await asyncio.gather(*(commit(book, tenants[n % 2], event(f"r{n}")) for n in range(300)))

    with_book(database, work)
    assert database.transactions <= 5
    for tenant_id in tenants:
        with tenant_scope(tenant_id):
            assert UsageEvent.objects.count() == 150
            assert Charge.objects.count() == 150
            assert PeriodTotal.objects.get().quantity == 150


def test_the_same_event_again_is_fine_another_under_its_key_is_not() -> None:
    tenant_id = tenant_make()

    async def work(book: UsageBook) -> list[Any]:
        await commit(book, tenant_id, event("a"))
        entries = [event("a"), event("a", quantity=2), event("b")]
        commits = (commit(book, tenant_id, one) for one in entries)
        return await asyncio.gather(*commits, return_exceptions=True)

    # when a repeated, a conflicting and a good event come in one group
    found = with_book(Counting(), work)
    # then only the conflicting one is refused
    assert [isinstance(result, Conflict) for result in found] == [False, True, False]
    assert found[0] is found[2] is None
    with system_scope():
        assert sorted(UsageEvent.objects.values_list("key", "quantity")) == [("a", 1), ("b", 1)]
        assert sorted(Charge.objects.values_list("key", flat=True)) == ["request:a", "request:b"]


def test_what_nobody_foresaw_is_told_and_stops_nobody_else() -> None:
    tenant_id = tenant_make()
    broken = ChargeRequest(tenant_id, "request:x", "request", "x", cast("list[ChargeItem]", [None]))

    async def work(book: UsageBook) -> list[Any]:
        found = await asyncio.gather(
            commit(book, tenant_id, event("a")),
            book.commit([(tenant_id, event("x"))], broken),
            commit(book, tenant_id, event("b")),
            return_exceptions=True,
        )
        await commit(book, tenant_id, event("later"))
        return found

    # when a charge that nothing can read comes in a group
    found = with_book(Counting(), work)
    # then its own caller hears of it, and the others' events are written, before and after
    assert [type(result) for result in found] == [type(None), BreakwaterError, type(None)]
    with system_scope():
        assert set(UsageEvent.objects.values_list("key", flat=True)) == {"a", "b", "later"}


def test_a_hold_in_a_currency_that_the_contract_has_left_loses_no_usage() -> None:
    tenant_id = tenant_make()
    with system_scope():
        credit_give(tenant_id, "5", "EUR")
    with tenant_scope(tenant_id):
        hold_place(tenant_id=tenant_id, key="request:a", amount=Money.of("1", "EUR"))
    counted = event("a", 1000)
    item = ChargeItem(counted.meter, counted.quantity, counted.dimensions, counted.event_time)
    charge = ChargeRequest(
        tenant_id, "request:a", "request", "a", [item], hold_key="request:a", keep_hold=True
    )
    with_book(Counting(), lambda book: book.commit([(tenant_id, counted)], charge))
    with system_scope():
        assert Charge.objects.get().currency == "USD"
        assert UsageEvent.objects.count() == 1


def test_a_database_that_restarts_is_waited_for() -> None:
    tenant_id = tenant_make()
    database = Counting(failing=3)
    with_book(database, lambda book: commit(book, tenant_id, event("a")))
    assert database.transactions == 4
    with system_scope():
        assert UsageEvent.objects.count() == 1


def test_one_that_stays_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    tenant_id = tenant_make()
    monkeypatch.setattr(usage, "PATIENCE_S", 0.3)
    with pytest.raises(Unavailable):
        with_book(Counting(failing=1000), lambda book: commit(book, tenant_id, event("a")))


def test_a_caller_that_is_cancelled_leaves_its_rows_to_be_written() -> None:
    tenant_id = tenant_make()

    async def work(book: UsageBook) -> None:
        task = asyncio.ensure_future(commit(book, tenant_id, event("a")))
        await asyncio.sleep(0)
        task.cancel()
        await book.flush()

    with_book(Counting(), work)
    with system_scope():
        assert UsageEvent.objects.count() == 1
