"""Partners' shares beside a charge: taken back, given again, come of age. In the system's scope."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tenants.kernel.money import Money
from tenants.ledger.calls import call, require_own
from tenants.ledger.statements import Statement, to_json


def share_take_back(
    *,
    tenant_id: str,
    currency: str,
    key: str,
    wishes: Sequence[Mapping[str, str]] = (),
    renews: str = "",
    data: Mapping[str, Any] | None = None,
) -> str:
    """Take back what partners had of sales to a customer, once; return the transaction's id.

    It leaves what is pending, then what is available, then the partner owes it. `renews` names a
    key under which shares were taken back: they are the partners' again. "": nothing moved.
    """
    require_own(tenant_id)
    params = {
        "key": key,
        "tenant_id": tenant_id,
        "currency": currency,
        "wishes": json.dumps(list(wishes)),
        "renews": renews or None,
        "data": to_json(data),
    }
    sql = """SELECT ledger_share(%(key)s, %(tenant_id)s, %(currency)s, %(wishes)s::jsonb,
        %(renews)s, %(data)s::jsonb)"""
    return str(call(Statement(sql, params))[0] or "")


def share_lock(*, tenant_id: str) -> None:
    """Lock what a partner may be paid until the scope's transaction ends."""
    call(Statement("SELECT ledger_share_lock(%(tenant_id)s)", {"tenant_id": tenant_id}))


def share_release(*, tenant_id: str, currency: str, key: str) -> Money:
    """Let what is past its hold period be paid, less what the partner owes; return how much."""
    require_own(tenant_id)
    params = {"key": key, "tenant_id": tenant_id, "currency": currency}
    sql = "SELECT ledger_share_release(%(key)s, %(tenant_id)s, %(currency)s)"
    return Money(Decimal(call(Statement(sql, params))[0]), currency)
