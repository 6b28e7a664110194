"""The gateway's own connections: async, without the ORM, in the system's role.

Each use is one short transaction, or one statement that is its own; none is held while tokens
stream. Every statement here names the tenant itself: row-level security does not stand behind this
role.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from django.conf import settings
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tenants.kernel.errors import Unavailable
from tenants.ledger.errors import translate
from tenants.ledger.statements import Statement

Connection = psycopg.AsyncConnection[DictRow]
Row = Mapping[str, Any]

WAIT_S = 5.0  # for a free connection


class Database:
    """A pool of connections to the database of `settings.DATABASES["system"]`."""

    def __init__(self, *, most: int = 8) -> None:
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            conninfo(),
            kwargs={"row_factory": dict_row, "prepare_threshold": None, "autocommit": True},
            connection_class=psycopg.AsyncConnection[DictRow],
            min_size=0,
            max_size=most,
            timeout=WAIT_S,
            max_idle=60,
            check=AsyncConnectionPool.check_connection,
            open=False,
        )

    async def open(self) -> None:
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction. Raises Unavailable where the database cannot be reached, and what the
        ledger refuses as our errors.
        """
        async with self._connection() as connection:
            async with connection.transaction():
                yield connection
            if connection.closed:  # the block above then ends without a word, and nothing is kept
                raise psycopg.OperationalError("the connection was closed before its commit")

    async def ask(self, statement: Statement) -> Row | None:
        """One statement, committed by itself; its first row. Raises as `transaction` does."""
        async with self._connection() as connection:
            return await (await connection.execute(statement.sql, statement.params)).fetchone()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError) as error:
            raise Unavailable(
                "the database cannot be reached; try again shortly", retry_after=2
            ) from error
        except psycopg.DatabaseError as error:
            raise translate(error) from error


def conninfo() -> str:
    """The system role's connection string; pgbouncer-safe, as nothing outlives a transaction."""
    database = settings.DATABASES["system"]
    return make_conninfo(
        host=database["HOST"] or None,
        port=database["PORT"],
        dbname=database["NAME"],
        user=database["USER"],
        password=database["PASSWORD"] or None,
        connect_timeout=5,
        application_name="breakwater-gateway",
    )
