"""Start-up check of lock two: are the database's roles and policies what the code relies on?

https://www.postgresql.org/docs/current/ddl-rowsecurity.html: superusers, roles with BYPASSRLS and
owners (without FORCE) pass every policy by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Critical
from django.db import connections

from tenants.kernel.scope import APP, OWNER, SYSTEM

_ROLE = "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
_OWNED = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
       AND relkind IN ('r', 'p', 'v', 'm') AND pg_has_role(current_user, relowner, 'MEMBER')
     ORDER BY relname
"""
_MEMBER = "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND pg_has_role(oid, 'MEMBER')"
_UNPROTECTED = """
    SELECT c.relname FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
       AND has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE')
       AND NOT (c.relrowsecurity AND c.relforcerowsecurity
                AND EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid))
     ORDER BY c.relname
"""


class UnsafeRoles(RuntimeError):
    """The database would not keep tenants apart; nothing may be served."""


def role_problems() -> list[str]:
    """What is wrong with the roles or policies, each with what to do; empty if all is well."""
    return [*_app_problems(), *_system_problems()]


def require_safe_roles() -> None:
    """Raises UnsafeRoles unless `role_problems` is empty."""
    problems = role_problems()
    if problems:
        raise UnsafeRoles("; ".join(problems))


def check_roles(
    app_configs: Sequence[Any] | None = None,  # noqa: ARG001 -- Django's signature
    databases: Sequence[str] | None = None,
    **kwargs: Any,  # noqa: ARG001
) -> list[CheckMessage]:
    """The same as a Django system check: `manage.py check --database default`."""
    if APP not in (databases or ()):
        return []
    return [Critical(problem, id="kernel.E001") for problem in role_problems()]


def _app_problems() -> list[str]:
    name, is_superuser, bypasses = _rows(APP, _ROLE)[0]
    others = [connections[alias].settings_dict["USER"] for alias in (SYSTEM, OWNER)]
    problems = [
        f"the app role {name!r} {what}; {remedy}"
        for wrong, what, remedy in (
            (is_superuser, "is a superuser", f"ALTER ROLE {name} NOSUPERUSER"),
            (bypasses, "bypasses row-level security", f"ALTER ROLE {name} NOBYPASSRLS"),
        )
        if wrong
    ]
    problems += [
        f"the app role {name!r} may become {other!r}; REVOKE {other} FROM {name}"
        for (other,) in _rows(APP, _MEMBER, [[o for o in others if o != name]])
    ]
    owned = [table for (table,) in _rows(APP, _OWNED)]
    if owned:
        problems.append(
            f"the app role {name!r} owns {', '.join(owned[:5])}; let the owner role migrate"
        )
    problems += [
        f"the table {table!r} has a tenant_id and no row-level security in force; "
        "call rls.protect in its migration"
        for (table,) in _rows(APP, _UNPROTECTED)
    ]
    return problems


def _system_problems() -> list[str]:
    name, is_superuser, bypasses = _rows(SYSTEM, _ROLE)[0]
    problems = []
    if is_superuser:
        problems.append(f"the system role {name!r} is a superuser; ALTER ROLE {name} NOSUPERUSER")
    elif not bypasses:
        problems.append(f"the system role {name!r} cannot see all tenants; give it BYPASSRLS")
    return problems


def _rows(alias: str, query: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    with connections[alias].cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
