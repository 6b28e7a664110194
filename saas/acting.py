"""Staff who act for a customer: the operator's own name on the record, the customer's tenant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tenants.accounts.actors import Actor
from tenants.accounts.models import Tenant
from tenants.kernel.errors import NotFound


def acting_for(actor: Actor, tenant_id: str) -> Actor:
    """The operator as `tenant_id`'s services want one. Raises NotFound for an unknown tenant."""
    if not Tenant.objects.filter(pk=tenant_id).exists():
        raise NotFound(f"no organisation {tenant_id!r}", param="tenant_id")
    return replace(actor, tenant_id=tenant_id)


def acting_on(actor: Actor, rows: Any, row_id: str) -> Actor:
    """The operator for the tenant that owns the row of `rows` with this id. Raises NotFound."""
    tenant_id = rows.filter(pk=row_id).values_list("tenant_id", flat=True).first()
    if tenant_id is None:
        raise NotFound(f"nothing here is called {row_id!r}")
    return replace(actor, tenant_id=tenant_id)
