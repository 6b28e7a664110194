"""What settled a tenant's charges, month by month: from the ledger's fundings.

A charge whose lines lie in several months is split among them in proportion to their nets.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db import connections

from tenants.billing.settlement import Settled, shares
from tenants.kernel.scope import required_scope

ZERO = Decimal(0)

# How a funding counts: what came back of something owed, but had been paid meanwhile, is credit.
_CLASS = """
    CASE WHEN g.kind IN ('allowance', 'promotion') THEN g.kind
         WHEN g.kind = 'paid' AND g.tax_included THEN 'prepaid_untaxed'
         WHEN g.kind = 'paid' OR f.returned_to_id IS NOT NULL THEN 'prepaid'
         ELSE 'postpaid' END
"""
_MINE = """
    WITH mine AS (
        SELECT l.charge_id, min(l.period) AS first, max(l.period) AS last FROM charge_line l
        WHERE l.tenant_id = %(tenant_id)s AND l.currency = %(currency)s AND l.charge_id IN (
            SELECT w.charge_id FROM charge_line w
            WHERE w.tenant_id = %(tenant_id)s AND w.period >= %(since)s)
        GROUP BY l.charge_id
    ), funded AS (
        SELECT m.charge_id, m.first, m.last, f.net + f.tax AS gross, f.tax,
    """
_FROM = """ AS class
        FROM mine m JOIN charge c ON c.id = m.charge_id AND c.tenant_id = %(tenant_id)s
        JOIN funding f ON f.transaction_id = c.transaction_id AND f.tenant_id = %(tenant_id)s
        LEFT JOIN credit_grant g ON g.id = f.grant_id
    )
"""
_WHOLE = f"""{_MINE}{_CLASS}{_FROM}
    SELECT first, class, sum(gross), sum(tax) FROM funded WHERE first = last GROUP BY 1, 2
"""  # noqa: S608 -- parts of ours
_SPLIT = f"""{_MINE}{_CLASS}{_FROM}
    SELECT charge_id, class, sum(gross), sum(tax) FROM funded WHERE first < last
    GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608 -- parts of ours
_WEIGHTS = """
    SELECT charge_id, period, sum(net) FROM charge_line
    WHERE tenant_id = %(tenant_id)s AND charge_id = ANY(%(charges)s) GROUP BY 1, 2 ORDER BY 1, 2
"""


def settled_since(*, tenant_id: str, currency: str, since: dt.date) -> dict[dt.date, Settled]:
    """By month, from `since` on, what paid for the charges of that month so far."""
    parameters = {"tenant_id": tenant_id, "currency": currency, "since": since}
    found: dict[dt.date, Settled] = {}
    for period, kind, gross, tax in _rows(_WHOLE, parameters):
        _add(found, period, kind, gross, tax)
    split = _rows(_SPLIT, parameters)
    weights = _weights(tenant_id, {row[0] for row in split})
    for charge_id, kind, gross, tax in split:
        periods = weights[charge_id]
        for period, part, tax_part in zip(
            periods,
            shares(gross, list(periods.values())),
            shares(tax, list(periods.values())),
            strict=True,
        ):
            _add(found, period, kind, part, tax_part)
    return {period: settled for period, settled in sorted(found.items()) if period >= since}


def _add(
    found: dict[dt.date, Settled], period: dt.date, kind: str, gross: Decimal, tax: Decimal
) -> None:
    found[period] = found.get(period, Settled()) + Settled(**{kind: gross, "tax": tax})


def _weights(tenant_id: str, charges: Iterable[str]) -> Mapping[str, Mapping[dt.date, Decimal]]:
    found: dict[str, dict[dt.date, Decimal]] = {}
    for charge_id, period, net in _rows(
        _WEIGHTS, {"tenant_id": tenant_id, "charges": sorted(charges)}
    ):
        found.setdefault(charge_id, {})[period] = net
    return found


def _rows(query: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
    with connections[required_scope().alias].cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())
