"""Holds: credit set aside for work to come."""

from __future__ import annotations

import datetime as dt

from tenants.kernel.clock import now
from tenants.kernel.money import Money
from tenants.ledger.calls import call, require_currency, require_own
from tenants.ledger.models import Hold
from tenants.ledger.selectors import wallet_currency
from tenants.ledger.statements import (
    Labels,
    extend_statement,
    hold_statement,
    release_statement,
)

SWEEP = 200  # rows that one sweep looks at: each keeps its wallet locked until the end


def hold_place(
    *,
    tenant_id: str,
    key: str,
    amount: Money,
    labels: Labels | None = None,
    expires_at: dt.datetime | None = None,
) -> str:
    """Set `amount`, tax in it, aside; return the hold's id.

    `labels` (api_key_id, model) name the budgets that it counts for.
    """
    require_own(tenant_id)
    statement = hold_statement(
        tenant_id=tenant_id, key=key, amount=amount, labels=labels, expires_at=expires_at
    )
    return str(call(statement)[0])


def hold_extend(
    *, tenant_id: str, key: str, extra: Money, expires_at: dt.datetime | None = None
) -> Money:
    """Set more aside; return all that the hold was asked for. Adds each time it is called."""
    require_own(tenant_id)
    currency = wallet_currency(hold_key=key, tenant_id=tenant_id)
    require_currency(extra, currency)
    statement = extend_statement(
        tenant_id=tenant_id, key=key, extra=extra.amount, expires_at=expires_at
    )
    return Money(call(statement)[0], currency)


def hold_release(*, tenant_id: str, key: str) -> bool:
    """Give what a hold sets aside back to where it came from. An unknown or closed one: False."""
    require_own(tenant_id)
    return bool(call(release_statement(tenant_id=tenant_id, key=key))[0])


def holds_expire(*, limit: int = SWEEP) -> int:
    """Release holds whose time is over, of all tenants (system scope). Return how many."""
    due = Hold.objects.filter(state=Hold.State.OPEN, expires_at__lte=now())
    rows = due.order_by("tenant_id", "wallet_id", "id").values_list("tenant_id", "key")[:limit]
    return sum(
        bool(call(release_statement(tenant_id=tenant_id, key=key, only_expired=True))[0])
        for tenant_id, key in list(rows)
    )
