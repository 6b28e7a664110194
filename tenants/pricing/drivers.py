"""The two drivers of programs without I/O: Django's connection of the scope, and async psycopg.

A program yields (sql, parameters) and is sent the rows as tuples. Errors of the ledger's functions
become BreakwaterErrors.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, TypeVar

import psycopg
from django.db import DatabaseError, connections
from psycopg.rows import tuple_row

from tenants.kernel.scope import ScopeError, atomic, required_scope
from tenants.ledger.errors import translate

T = TypeVar("T")
Program = Generator[tuple[str, Mapping[str, Any]], list[Any], T]


def program_run(program: Program[T], *, tenant_ids: set[str]) -> T:
    """Run a program in the scope's transaction, all or nothing.

    Raises ScopeError where the scope is another tenant's than `tenant_ids`.
    """
    scope = required_scope()
    if scope.tenant_id is not None and tenant_ids - {scope.tenant_id}:
        raise ScopeError(f"charges of {', '.join(sorted(tenant_ids))} were made for {scope}")
    with atomic(), connections[scope.alias].cursor() as cursor:
        rows: list[Any] = []
        try:
            statement = next(program)
            while True:
                cursor.execute(*statement)
                rows = cursor.fetchall() if cursor.description else []
                statement = program.send(rows)
        except StopIteration as end:
            result: T = end.value
            return result
        except DatabaseError as error:
            raise _translated(error) from error


async def program_run_async(connection: psycopg.AsyncConnection[Any], program: Program[T]) -> T:
    """Run a program on the caller's connection, in the transaction that is open there."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        try:
            statement = next(program)
            while True:
                sql, parameters = statement
                await cursor.execute(sql.encode(), parameters)
                rows = await cursor.fetchall() if cursor.description else []
                statement = program.send(rows)
        except StopIteration as end:
            result: T = end.value
            return result
        except psycopg.Error as error:
            raise _translated(error) from error


def _translated(error: Exception) -> Exception:
    """A BreakwaterError where the ledger raised it; else the error itself."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else error
    if not isinstance(cause, psycopg.Error):
        return error
    try:
        return translate(cause)
    except psycopg.Error:
        return error
