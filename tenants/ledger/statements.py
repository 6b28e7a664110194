"""Calls of the database's functions as (sql, params) pairs. Pure.

Services run them through Django; the gateway, which has no ORM, through psycopg. Both hand a
refusal to `errors.translate`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from tenants.kernel.money import Money
from tenants.ledger.chart import GrantKind, RevenueLine

Labels = Mapping[str, str]


class Statement(NamedTuple):
    sql: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class ChargeLine:
    """What was sold, net of tax, to 12 decimals; below zero where it goes back."""

    revenue: RevenueLine
    net: Decimal


@dataclass(frozen=True)
class ChargeOutcome:
    """Who paid: amounts in the wallet's currency. The last four have tax in them and add up to
    `net` + `tax`; below zero where money went back.
    """

    transaction_id: str
    net: Decimal
    tax: Decimal
    allowance: Decimal
    promotion: Decimal
    paid: Decimal
    postpaid: Decimal

    @property
    def gross(self) -> Decimal:
        return self.net + self.tax


def lock_statement(*, tenant_id: str, currency: str) -> Statement:
    """Make the wallet if it is missing, and lock it until the transaction ends."""
    return Statement(
        "SELECT (wallet_lock(%(tenant_id)s, %(currency)s)).id",
        {"tenant_id": tenant_id, "currency": currency},
    )


def check_statement(*, tenant_id: str, currency: str, labels: Labels) -> Statement:
    """One row: what is available. Refused where that is nothing, or a hard budget is used up."""
    return Statement(
        "SELECT wallet_check(%(tenant_id)s, %(currency)s, %(labels)s::jsonb)",
        {"tenant_id": tenant_id, "currency": currency, "labels": to_json(labels)},
    )


def hold_statement(
    *,
    tenant_id: str,
    key: str,
    amount: Money,
    labels: Labels | None = None,
    expires_at: dt.datetime | None = None,
) -> Statement:
    """One row: the hold's id."""
    return Statement(
        "SELECT wallet_hold(%(tenant_id)s, %(currency)s, %(key)s, %(amount)s, %(labels)s::jsonb,"
        " %(expires_at)s::timestamptz)",
        {
            "tenant_id": tenant_id,
            "currency": amount.currency,
            "key": key,
            "amount": amount.amount,
            "labels": to_json(labels),
            "expires_at": expires_at,
        },
    )


def extend_statement(
    *, tenant_id: str, key: str, extra: Decimal, expires_at: dt.datetime | None = None
) -> Statement:
    """One row: all that the hold was asked for."""
    return Statement(
        "SELECT wallet_extend(%(tenant_id)s, %(key)s, %(extra)s, %(expires_at)s::timestamptz)",
        {"tenant_id": tenant_id, "key": key, "extra": extra, "expires_at": expires_at},
    )


def release_statement(*, tenant_id: str, key: str, only_expired: bool = False) -> Statement:
    """One row: whether anything was let go."""
    return Statement(
        "SELECT wallet_release(%(tenant_id)s, %(key)s, %(only_expired)s)",
        {"tenant_id": tenant_id, "key": key, "only_expired": only_expired},
    )


def charge_statement(
    *,
    tenant_id: str,
    currency: str,
    key: str,
    lines: Sequence[ChargeLine],
    occurred_at: dt.datetime | None = None,
    hold_key: str | None = None,
    labels: Labels | None = None,
    data: Mapping[str, Any] | None = None,
    keep_hold: bool = False,
    spare: Sequence[GrantKind] = (),
    shares: Sequence[Mapping[str, Any]] = (),
) -> Statement:
    """One row: the columns of `ChargeOutcome`, in order."""
    return Statement(
        "SELECT transaction_id, net, tax, allowance, promotion, paid, postpaid FROM wallet_charge("
        "%(tenant_id)s, %(currency)s, %(key)s, %(occurred_at)s::timestamptz, %(lines)s::jsonb,"
        " %(hold_key)s, %(labels)s::jsonb, %(data)s::jsonb, %(keep_hold)s,"
        " %(spare)s::text[], %(shares)s::jsonb)",
        {
            "tenant_id": tenant_id,
            "currency": currency,
            "key": key,
            "occurred_at": occurred_at,
            "lines": _lines(lines),
            "hold_key": hold_key,
            "labels": to_json(labels),
            "data": to_json(data),
            "keep_hold": keep_hold,
            "spare": [str(kind) for kind in spare],
            "shares": json.dumps(list(shares)),
        },
    )


def _lines(lines: Sequence[ChargeLine]) -> str:
    return json.dumps([{"revenue": str(line.revenue), "net": f"{line.net:f}"} for line in lines])


def to_json(value: Mapping[str, Any] | None) -> str:
    """Canonical: equal mappings are equal texts."""
    return json.dumps(dict(value or {}), sort_keys=True)
