"""The Django driver of `statements`: runs one in the scope in force, and says what was refused."""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import DatabaseError, connections

from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import Money
from tenants.kernel.scope import ScopeError, atomic, required_scope
from tenants.ledger.errors import translate
from tenants.ledger.statements import Statement


def call(statement: Statement) -> tuple[Any, ...]:
    """Return the one row. A refusal leaves the scope's transaction usable.

    Raises what `errors.translate` makes of it: CreditExhausted, BudgetExceeded, Conflict, NotFound,
    InvalidInput.
    """
    try:
        with atomic(), connections[required_scope().alias].cursor() as cursor:
            cursor.execute(statement.sql, statement.params)
            row: tuple[Any, ...] = cursor.fetchone()
            return row
    except DatabaseError as error:
        if isinstance(error.__cause__, psycopg.Error):
            raise translate(error.__cause__) from error
        raise


def require_own(tenant_id: str) -> None:
    """Raises ScopeError where another tenant is in scope."""
    scope = required_scope()
    if scope.tenant_id not in {None, tenant_id}:
        raise ScopeError(f"the wallet of tenant {tenant_id} was used for {scope}")


def require_currency(amount: Money, currency: str) -> None:
    """Raises InvalidInput for money of another currency: wallets never convert."""
    if amount.currency != currency:
        raise InvalidInput(
            f"this is in {currency}, not in {amount.currency}: nothing is converted",
            param="currency",
        )
