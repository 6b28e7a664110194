"""Who the code acts for. Without a scope nothing tenant-owned can be read or written.

A scope is a transaction with a role: `tenant_scope` runs on the `app` connection, where row-level
security shows this tenant's rows only; `system_scope` runs on the `system` connection, which sees
every tenant and stands behind the relay, the scheduler, workers' leases, look-up of keys and
logins, and operators' pages. One transaction, one role: scopes do not nest into another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.db import connections, transaction

APP = "default"
SYSTEM = "system"
OWNER = "owner"


class ScopeError(RuntimeError):
    """Code touched tenant-owned rows without a scope, or with another scope's objects.

    Always a bug, never a user's error.
    """


@dataclass(frozen=True)
class Scope:
    """`tenant_id` is None for the system."""

    tenant_id: str | None

    @property
    def alias(self) -> str:
        return SYSTEM if self.tenant_id is None else APP

    def __str__(self) -> str:
        return "the system" if self.tenant_id is None else f"tenant {self.tenant_id}"


_current: ContextVar[Scope | None] = ContextVar("scope", default=None)


def current_scope() -> Scope | None:
    return _current.get()


def required_scope() -> Scope:
    """Return the scope in force. Raises ScopeError where there is none."""
    scope = _current.get()
    if scope is None:
        raise ScopeError("no tenant scope: wrap this in tenant_scope(tenant_id) or system_scope()")
    return scope


def current_tenant_id() -> str:
    """Return the id of the tenant in scope. Raises ScopeError in the system's scope or in none."""
    tenant_id = required_scope().tenant_id
    if tenant_id is None:
        raise ScopeError("this needs one tenant's scope, but runs in the system's")
    return tenant_id


def current_alias() -> str:
    """The database connection that the scope in force runs on (the app's where there is none)."""
    scope = _current.get()
    return APP if scope is None else scope.alias


@contextmanager
def tenant_scope(tenant_id: str) -> Iterator[None]:
    """Act for one tenant, in one transaction under row-level security."""
    if not tenant_id:
        raise ScopeError("a tenant scope needs a tenant's id")
    with _enter(Scope(tenant_id)) as entered:
        if not entered:
            yield
            return
        _set_database_tenant(tenant_id)
        try:
            yield
        finally:
            _clear_database_tenant()


@contextmanager
def system_scope() -> Iterator[None]:
    """Act for the platform across tenants, in one transaction. Never behind a customer's view."""
    with _enter(Scope(None)):
        yield


@contextmanager
def _enter(scope: Scope) -> Iterator[bool]:
    """Yields True where a transaction was opened, False inside the same scope."""
    outer = _current.get()
    if outer == scope:
        yield False
        return
    if outer is not None:
        raise ScopeError(f"already acting for {outer}; leave that scope before acting for {scope}")
    with transaction.atomic(using=scope.alias):
        token = _current.set(scope)
        try:
            yield True
        finally:
            _current.reset(token)


def _set_database_tenant(tenant_id: str) -> None:
    with connections[APP].cursor() as cursor:
        cursor.execute("SELECT set_config('app.tenant', %s, true)", [tenant_id])


def _clear_database_tenant() -> None:
    """Matters only where the scope is a savepoint of an outer transaction (as in tests)."""
    connection = connections[APP]
    if len(connection.savepoint_ids) > 0 and not connection.needs_rollback:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('app.tenant', '', true)")


def atomic() -> transaction.Atomic:
    """A savepoint on the connection of the scope in force."""
    return transaction.atomic(using=required_scope().alias)


def on_commit(function: Callable[[], Any]) -> None:
    """Call `function` once the scope's transaction has committed."""
    transaction.on_commit(function, using=required_scope().alias)


class ScopeRouter:
    """Sends each query down the connection of the scope in force; only the owner migrates."""

    def db_for_read(self, model: Any, **hints: Any) -> str:  # noqa: ARG002
        return current_alias()

    def db_for_write(self, model: Any, **hints: Any) -> str:  # noqa: ARG002
        return current_alias()

    def allow_relation(self, first: Any, second: Any, **hints: Any) -> bool:  # noqa: ARG002
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:  # noqa: ARG002
        return db == OWNER
