"""Wallets: the lock, and what a tenant may owe and how it is taxed."""

from __future__ import annotations

from decimal import Decimal

from tenants.kernel.money import Money
from tenants.ledger.calls import call, require_currency, require_own
from tenants.ledger.chart import DEFAULT_CURRENCY
from tenants.ledger.statements import Labels, Statement, check_statement, lock_statement


def wallet_lock(*, tenant_id: str, currency: str) -> None:
    """Lock a wallet until the scope's transaction ends; made if it is missing."""
    require_own(tenant_id)
    call(lock_statement(tenant_id=tenant_id, currency=currency))


def wallet_change(
    *,
    tenant_id: str,
    currency: str,
    credit_limit: Money | None = None,
    tax_rate: Decimal | None = None,
    tax_jurisdiction: str | None = None,
) -> None:
    """Change what a tenant may owe and how it is taxed; None leaves a setting (system scope)."""
    require_own(tenant_id)
    if credit_limit is not None:
        require_currency(credit_limit, currency)
    call(
        Statement(
            "SELECT wallet_change(%(tenant_id)s, %(currency)s, %(limit)s::numeric,"
            " %(rate)s::numeric, %(jurisdiction)s::text)",
            {
                "tenant_id": tenant_id,
                "currency": currency,
                "limit": None if credit_limit is None else credit_limit.amount,
                "rate": tax_rate,
                "jurisdiction": tax_jurisdiction,
            },
        )
    )


def credit_require(
    *, tenant_id: str, labels: Labels | None = None, currency: str = DEFAULT_CURRENCY
) -> Money:
    """Return what is available. For work whose cost comes later.

    Raises CreditExhausted where that is nothing, BudgetExceeded where a hard budget is used up.
    """
    require_own(tenant_id)
    statement = check_statement(tenant_id=tenant_id, currency=currency, labels=labels or {})
    return Money(call(statement)[0], currency)
