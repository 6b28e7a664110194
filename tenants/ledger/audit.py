"""Whether what is kept beside the books agrees with them. Reads everything."""

from __future__ import annotations

from django.db import connections

from tenants.kernel.scope import current_alias

# what is kept, and what the books say it must be; rows only where they differ
_CHECKS = {
    "wallet.receivable": """
        SELECT w.id::text, w.receivable, coalesce(sum(p.amount), 0) FROM wallet w
        LEFT JOIN ledger_account a ON a.tenant_id = w.tenant_id AND a.kind = 'receivable'
            AND a.currency = w.currency
        LEFT JOIN ledger_posting p ON p.tenant_id = w.tenant_id AND p.account_id = a.id
        GROUP BY w.id, w.receivable HAVING w.receivable <> coalesce(sum(p.amount), 0)
    """,
    "wallet.held_postpaid": """
        SELECT w.id::text, w.held_postpaid, coalesce(sum(p.amount), 0) FROM wallet w
        LEFT JOIN hold h ON h.wallet_id = w.id AND h.state = 'open'
        LEFT JOIN hold_part p ON p.tenant_id = h.tenant_id AND p.hold_id = h.id
            AND p.grant_id IS NULL
        GROUP BY w.id, w.held_postpaid HAVING w.held_postpaid <> coalesce(sum(p.amount), 0)
    """,
    "credit_grant.remaining": """
        SELECT g.id, g.remaining, coalesce(-sum(p.amount), 0) FROM credit_grant g
        LEFT JOIN ledger_account a ON a.tenant_id = g.tenant_id AND a.kind = 'grant'
            AND a.ref = g.id
        LEFT JOIN ledger_posting p ON p.tenant_id = g.tenant_id AND p.account_id = a.id
        GROUP BY g.id, g.remaining HAVING g.remaining <> coalesce(-sum(p.amount), 0)
    """,
    "credit_grant.held": """
        SELECT g.id, g.held, coalesce(sum(p.amount), 0) FROM credit_grant g
        LEFT JOIN hold_part p ON p.tenant_id = g.tenant_id AND p.grant_id = g.id
        GROUP BY g.id, g.held HAVING g.held <> coalesce(sum(p.amount), 0)
    """,
    "hold.drawn": """
        SELECT h.id, h.amount - h.drawn, coalesce(sum(p.amount), 0) FROM hold h
        LEFT JOIN hold_part p ON p.tenant_id = h.tenant_id AND p.hold_id = h.id
        WHERE h.state = 'open'
        GROUP BY h.id, h.amount, h.drawn
        HAVING h.amount - h.drawn <> coalesce(sum(p.amount), 0)
    """,
    "budget_spend.spent": """
        SELECT b.id || ' ' || s.period, s.spent, budget_charged(b, s.period)
        FROM budget_spend s JOIN budget b ON b.id = s.budget_id
        WHERE b.archived_at IS NULL AND s.spent <> budget_charged(b, s.period)
    """,
    "budget_spend.held": """
        SELECT b.id || ' ' || s.period, s.held, budget_held(b, s.period)
        FROM budget_spend s JOIN budget b ON b.id = s.budget_id
        WHERE b.archived_at IS NULL AND s.held <> budget_held(b, s.period)
    """,
}


def projections_wrong() -> list[str]:
    """What a wallet, grant, hold or budget says other than the books (system scope): none, ever."""
    found = []
    with connections[current_alias()].cursor() as cursor:
        for name, query in _CHECKS.items():
            cursor.execute(query)
            found += [
                f"{name} of {row} is {kept}, the books say {counted}"
                for row, kept, counted in cursor.fetchall()
            ]
    return found
