"""Credit for tenants that tests make by other ways than signing up."""

from __future__ import annotations

from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.ledger.chart import GrantKind
from tenants.ledger.services import grant_issue

PLENTY = "1000"  # US dollars


def credit_give(tenant_id: str, amount: str = PLENTY, *, key: str = "tests") -> str:
    """Grant paid credit in US dollars; return the grant's id."""
    platform_tenant_ensure()
    with system_scope():
        return grant_issue(
            tenant_id=tenant_id,
            key=key,
            kind=GrantKind.PAID,
            amount=Money.of(amount, "USD"),
            source="manual",
        )
