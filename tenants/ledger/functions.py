"""The database's functions: where their source stands, and which role may call which.

Everything else in `sql/` is internal: no role but the owner may call it.
"""

from __future__ import annotations

from pathlib import Path

SQL = Path(__file__).with_name("sql")

# in the order in which one stands on another
FILES = (
    "types.sql",
    "foundations.sql",
    "chart.sql",
    "posting.sql",
    "wallet.sql",
    "grants.sql",
    "budgets.sql",
    "holds.sql",
    "shares.sql",
    "charges.sql",
    "returns.sql",
    "triggers.sql",
)

# for everyone, each for the tenant in scope only
FOR_TENANTS = (
    "wallet_lock",
    "wallet_check",
    "wallet_hold",
    "wallet_extend",
    "wallet_release",
    "wallet_charge",
    "budget_create",
    "budget_change",
    "budget_archive",
)

# what brings money in or out, or changes what a tenant may owe
FOR_THE_SYSTEM = (
    "ledger_for_all",
    "ledger_post",
    "ledger_reverse",
    "wallet_change",
    "wallet_grant",
    "wallet_pay",
    "wallet_withdraw",
    "wallet_expire",
    "ledger_share",
    "ledger_share_lock",
    "ledger_share_release",
    # reads, with which `audit.py` recounts what budgets say
    "budget_counts",
    "budget_charged",
    "budget_held",
)

TABLES = (
    "wallet",
    "credit_grant",
    "ledger_account",
    "ledger_transaction",
    "ledger_posting",
    "funding",
    "hold",
    "hold_part",
    "budget",
    "budget_spend",
)


def source(file: str) -> str:
    """The text of one of `FILES`."""
    return (SQL / file).read_text()


def rights(app: str, system: str) -> str:
    """Statements after which `app` and `system` read the tables, and write by functions only."""
    tables, prefixes = ", ".join(TABLES), ", ".join(f"'{prefix}'" for prefix in _PREFIXES)
    statements = [
        f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {tables} FROM PUBLIC, {app}, {system};",
        _CLOSED.format(names=prefixes),
        *(f"GRANT EXECUTE ON FUNCTION {name} TO {app}, {system};" for name in FOR_TENANTS),
        *(f"GRANT EXECUTE ON FUNCTION {name} TO {system};" for name in FOR_THE_SYSTEM),
    ]
    return "\n".join(statements)


_PREFIXES = ("ledger", "wallet", "hold", "budget", "charge", "share")
_CLOSED = """
DO $$
DECLARE made regprocedure;
BEGIN
    FOR made IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
        AND split_part(p.proname, '_', 1) IN ({names}) AND p.proowner = current_user::regrole
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', made);
    END LOOP;
END $$;
"""
