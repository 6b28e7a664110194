"""Whether lock two, row-level security, stands on every table that belongs to a tenant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.apps import apps
from django.db import connections

from saas.doctor.findings import Finding, failed, good, off
from tenants.kernel.scope import APP, SYSTEM
from tenants.kernel.tenancy import TenantModel


@dataclass(frozen=True)
class Protection:
    """How a table is protected.

    `policies` is how many it has; `leading` says whether an index, or a unique constraint, starts
    with the tenant.
    """

    enabled: bool
    forced: bool
    policies: int
    leading: bool

    @property
    def holds(self) -> bool:
        return self.enabled and self.forced and self.policies > 0


_PROTECTION = """
    SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,
        (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid),
        EXISTS (SELECT FROM pg_index i JOIN pg_attribute a
                ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
                WHERE i.indrelid = c.oid AND i.indpred IS NULL AND a.attname = 'tenant_id')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
"""


def tenant_tables() -> list[str]:
    """The tables of all models whose rows belong to a tenant."""
    models = (model for model in apps.get_models() if issubclass(model, TenantModel))
    return sorted(model._meta.db_table for model in models)  # noqa: SLF001 -- Django's own way


def protections() -> dict[str, Protection]:
    """Return how each table of the database is protected."""
    with connections[SYSTEM].cursor() as cursor:
        cursor.execute(_PROTECTION)
        return {row[0]: Protection(*row[1:]) for row in cursor.fetchall()}


def isolation_check() -> Iterator[Finding]:
    """Policies stand, are forced, and hide everything from a session without a tenant."""
    found = protections()
    open_tables = [t for t in tenant_tables() if t not in found or not found[t].holds]
    if open_tables:
        yield failed(
            "row-level security",
            f"not forced on {', '.join(open_tables)}",
            "run: manage.py migrate --database owner; each tenant table needs rls.protect(table)",
        )
    else:
        yield good("row-level security", f"forced on all {len(tenant_tables())} tenant tables")
    yield _tried_out()


def _tried_out() -> Finding:
    """Ask as the app without a tenant: the rows that the system sees must not show."""
    count = "SELECT count(*) FROM tenant"
    with connections[SYSTEM].cursor() as cursor:
        cursor.execute(count)
        there = cursor.fetchone()[0]
    with connections[APP].cursor() as cursor:
        cursor.execute(count)
        shown = cursor.fetchone()[0]
    about = "row-level security, tried out"
    if there == 0:
        return off(about, "there are no tenants yet")
    if shown:
        return failed(
            about,
            f"a session without a tenant sees {shown} of {there} tenants",
            "stop the web now; see docs/decisions/0001",
        )
    return good(about, f"a session without a tenant sees none of {there} tenants")
