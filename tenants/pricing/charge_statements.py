"""The statements of a charge, for both drivers: parameters by name, one list a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Sorted before the function is called, so that two groups take their locks in one order.
LOCK = """
    SELECT wallet_lock(w.tenant_id, w.currency) FROM (
        SELECT DISTINCT tenant_id, currency
        FROM unnest(%(tenant_id)s::text[], %(currency)s::text[]) AS u(tenant_id, currency)
        ORDER BY 1, 2
    ) AS w
"""

EARLIER = """
    SELECT c.tenant_id, c.key, c.request_hash, c.id, c.transaction_id, c.currency, c.net, c.tax,
        c.allowance, c.promotion, c.paid, c.postpaid,
        (SELECT coalesce(sum(l.net), 0) FROM charge_line l
         WHERE l.charge_id = c.id AND l.kind = 'usage')
    FROM charge c JOIN unnest(%(tenant_id)s::text[], %(key)s::text[]) AS u(tenant_id, key)
        USING (tenant_id, key)
"""

TOTALS = """
    SELECT p.tenant_id, p.period, p.currency, p.price_key, p.version_id, p.contract_id,
        p.quantity, p.amount
    FROM period_total p JOIN (
        SELECT DISTINCT tenant_id, period, price_key
        FROM unnest(%(tenant_id)s::text[], %(period)s::date[], %(price_key)s::text[])
            AS u(tenant_id, period, price_key)
    ) AS wanted USING (tenant_id, period, price_key)
"""

# What a subject has been charged and not yet given back, by revenue line.
SUBJECT = """
    SELECT c.tenant_id, c.subject_kind, c.subject_id, c.currency, l.revenue, sum(l.net)
    FROM (SELECT DISTINCT * FROM unnest(%(tenant_id)s::text[], %(subject_kind)s::text[],
        %(subject_id)s::text[]) AS u(tenant_id, subject_kind, subject_id)) AS wanted
    JOIN charge c USING (tenant_id, subject_kind, subject_id)
    JOIN charge_line l ON l.charge_id = c.id
    GROUP BY 1, 2, 3, 4, 5
"""

CHARGE = """
    SELECT r.place, w.* FROM unnest(%(place)s::int[], %(tenant_id)s::text[], %(currency)s::text[],
        %(key)s::text[], %(occurred_at)s::timestamptz[], %(lines)s::text[], %(hold_key)s::text[],
        %(labels)s::text[], %(data)s::text[], %(keep_hold)s::boolean[], %(shares)s::text[])
        AS r(place, tenant_id, currency, key, occurred_at, lines, hold_key, labels, data, keep_hold,
             shares)
    CROSS JOIN LATERAL wallet_charge(r.tenant_id, r.currency, r.key, r.occurred_at,
        r.lines::jsonb, r.hold_key, r.labels::jsonb, r.data::jsonb, r.keep_hold,
        _shares => r.shares::jsonb) AS w
"""

# By which terms sellers share, and what those have come to so far (partners/sql/terms.sql).
AGREEMENTS = "SELECT * FROM partner_terms(%(sellers)s::text[], %(at)s::timestamptz, %(currency)s)"

RELEASE = """
    SELECT wallet_release(r.tenant_id, r.key)
    FROM unnest(%(tenant_id)s::text[], %(key)s::text[]) AS r(tenant_id, key)
"""

CHARGE_COLUMNS = {
    "id": "text", "tenant_id": "text", "key": "text", "request_hash": "text",
    "subject_kind": "text", "subject_id": "text", "currency": "text",
    "occurred_at": "timestamptz", "net": "numeric", "tax": "numeric", "allowance": "numeric",
    "promotion": "numeric", "paid": "numeric", "postpaid": "numeric", "transaction_id": "text",
    "quote_id": "text",
}  # fmt: skip
LINE_COLUMNS = {
    "charge_id": "text", "tenant_id": "text", "period": "date", "day": "date", "kind": "text",
    "revenue": "text", "meter": "text", "price_key": "text", "version_id": "text",
    "contract_id": "text", "model": "text", "api_key_id": "text", "user_id": "text",
    "quantity": "numeric", "net": "numeric", "currency": "text",
}  # fmt: skip
TOTAL_COLUMNS = {
    "tenant_id": "text", "period": "date", "currency": "text", "price_key": "text",
    "version_id": "text", "contract_id": "text", "quantity": "numeric", "amount": "numeric",
}  # fmt: skip


def _insert(table: str, columns: Mapping[str, str], prefix: str) -> str:
    names = ", ".join(columns)
    arrays = ", ".join(f"%({prefix}{name})s::{kind}[]" for name, kind in columns.items())
    return f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays})"  # noqa: S608 -- ours


_CHARGES = _insert("charge", CHARGE_COLUMNS, "charge_")
_LINES = _insert("charge_line", LINE_COLUMNS, "line_")
_TOTALS = _insert("period_total", TOTAL_COLUMNS, "total_")
WRITE = f"""
    WITH charges AS ({_CHARGES}), lines AS ({_LINES})
    {_TOTALS}
    ON CONFLICT (tenant_id, period, currency, price_key, version_id, contract_id) DO UPDATE
    SET quantity = period_total.quantity + excluded.quantity,
        amount = period_total.amount + excluded.amount
"""  # noqa: S608 -- put together above


def columns(
    rows: Iterable[Mapping[str, Any]], names: Sequence[str], prefix: str = ""
) -> dict[str, list[Any]]:
    """Rows turned into one list a column, as the statements' `unnest` takes them."""
    columns: dict[str, list[Any]] = {prefix + name: [] for name in names}
    for row in rows:
        for name in names:
            columns[prefix + name].append(row[name])
    return columns
