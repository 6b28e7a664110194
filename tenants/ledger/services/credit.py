"""Credit in and out: grants, payments, withdrawals, expiry. In the system's scope."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tenants.kernel.clock import now
from tenants.kernel.money import Money
from tenants.ledger.calls import call, require_currency, require_own
from tenants.ledger.chart import GrantKind
from tenants.ledger.models import CreditGrant
from tenants.ledger.selectors import wallet_currency
from tenants.ledger.statements import Statement, to_json

SWEEP = 200  # rows that one sweep looks at: each keeps its wallet locked until the end

_GRANT = """SELECT wallet_grant(%(tenant_id)s, %(currency)s, %(key)s, %(kind)s, %(amount)s, %(tax)s,
    %(priority)s, %(expires_at)s::timestamptz, %(tax_included)s, %(source)s, %(data)s::jsonb)"""
_PAY = """SELECT wallet_pay(%(tenant_id)s, %(currency)s, %(key)s, %(amount)s, %(source)s,
    %(data)s::jsonb)"""
_WITHDRAW = """SELECT wallet_withdraw(%(tenant_id)s, %(key)s, %(grant_id)s, %(amount)s, %(source)s,
    %(data)s::jsonb)"""


def grant_issue(
    *,
    tenant_id: str,
    key: str,
    kind: GrantKind,
    amount: Money,
    source: str,
    tax: Money | None = None,
    priority: int = 0,
    expires_at: dt.datetime | None = None,
    tax_included: bool = False,
    data: Mapping[str, Any] | None = None,
) -> str:
    """Give credit (system scope); return the grant's id.

    `amount` is the credit; `tax` is taken beside it, with `tax_included` only: such credit is not
    taxed again when it is used. `source` names where it comes from; of paid credit the provider
    ("manual", "stripe:pi_123").
    """
    require_own(tenant_id)
    if tax is not None:
        require_currency(tax, amount.currency)
    params = {
        "tenant_id": tenant_id,
        "currency": amount.currency,
        "key": key,
        "kind": str(kind),
        "amount": amount.amount,
        "tax": Decimal(0) if tax is None else tax.amount,
        "priority": priority,
        "expires_at": expires_at,
        "tax_included": tax_included,
        "source": source,
        "data": to_json(data),
    }
    return str(call(Statement(_GRANT, params))[0])


def payment_post(
    *,
    tenant_id: str,
    key: str,
    amount: Money,
    source: str,
    data: Mapping[str, Any] | None = None,
) -> str:
    """Take a payment of what is owed (system scope); return the transaction's id.

    What is paid beyond that becomes a paid grant.
    """
    require_own(tenant_id)
    params = {
        "tenant_id": tenant_id,
        "currency": amount.currency,
        "key": key,
        "amount": amount.amount,
        "source": source,
        "data": to_json(data),
    }
    return str(call(Statement(_PAY, params))[0])


def grant_withdraw(
    *,
    tenant_id: str,
    key: str,
    grant_id: str,
    amount: Money,
    source: str = "manual",
    data: Mapping[str, Any] | None = None,
) -> str:
    """Give unused paid credit back to its payer, with the tax that was taken on it (system scope).

    Return the transaction's id.
    """
    require_own(tenant_id)
    require_currency(amount, wallet_currency(grant_id=grant_id))
    params = {
        "tenant_id": tenant_id,
        "key": key,
        "grant_id": grant_id,
        "amount": amount.amount,
        "source": source,
        "data": to_json(data),
    }
    return str(call(Statement(_WITHDRAW, params))[0])


def grants_expire(*, limit: int = SWEEP) -> int:
    """Let what is left of expired grants lapse, of all tenants (system scope). Return how many.

    A grant of which part is held waits.
    """
    due = CreditGrant.objects.filter(expires_at__lte=now(), closed_at__isnull=True, held=0)
    rows = due.order_by("tenant_id", "wallet_id", "id").values_list("tenant_id", "id")[:limit]
    expire = "SELECT wallet_expire(%(tenant_id)s, %(grant_id)s)"
    return sum(
        bool(call(Statement(expire, {"tenant_id": tenant_id, "grant_id": grant_id}))[0])
        for tenant_id, grant_id in list(rows)
    )
