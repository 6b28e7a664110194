"""Builders for tests about money."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger import services
from tenants.ledger.chart import GrantKind, RevenueLine
from tenants.ledger.selectors import Balance, wallet_balance
from tenants.ledger.statements import ChargeLine, ChargeOutcome
from tests.tenants.usage.factories import tenant_make

_numbers = itertools.count(1)


def usd(amount: str | int | Decimal) -> Money:
    return Money.of(amount, "USD")


def fresh_key(prefix: str = "k") -> str:
    return f"{prefix}{next(_numbers)}"


def customer_make(
    credit_limit: str = "0", tax_rate: str = "0", jurisdiction: str = "", currency: str = "USD"
) -> str:
    """Return the id of a new tenant with a wallet; the platform's own tenant stands."""
    platform_tenant_ensure()
    tenant_id = tenant_make()
    with system_scope():
        services.wallet_change(
            tenant_id=tenant_id,
            currency=currency,
            credit_limit=Money.of(credit_limit, currency),
            tax_rate=Decimal(tax_rate),
            tax_jurisdiction=jurisdiction,
        )
    return tenant_id


def grant_make(tenant_id: str, amount: str, kind: GrantKind = GrantKind.PAID, **fields: Any) -> str:
    with system_scope():
        return services.grant_issue(
            tenant_id=tenant_id,
            amount=usd(amount),
            kind=kind,
            **{"key": fresh_key("grant"), "source": "manual", **fields},
        )


def hold_make(tenant_id: str, amount: str, **fields: Any) -> str:
    """Place a hold; return its key."""
    key: str = fields.pop("key", None) or fresh_key("hold")
    with tenant_scope(tenant_id):
        services.hold_place(tenant_id=tenant_id, key=key, amount=usd(amount), **fields)
    return key


def charge_make(
    tenant_id: str,
    net: str | Mapping[RevenueLine, str],
    occurred_at: dt.datetime | None = None,
    **fields: Any,
) -> ChargeOutcome:
    lines = net if isinstance(net, Mapping) else {RevenueLine.TOKENS: net}
    with tenant_scope(tenant_id):
        return services.charge_post(
            tenant_id=tenant_id,
            currency="USD",
            lines=[ChargeLine(line, Decimal(amount)) for line, amount in lines.items()],
            occurred_at=occurred_at,
            **{"key": fresh_key("charge"), **fields},
        )


def balance_of(tenant_id: str) -> Balance:
    with tenant_scope(tenant_id):
        return wallet_balance(tenant_id=tenant_id, currency="USD")
