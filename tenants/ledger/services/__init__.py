"""Writes of money, in the scope in force. Each is done once for its key: the same key with the same
payload gets the same answer, with another payload Conflict.

What is refused comes as CreditExhausted, BudgetExceeded, Conflict, NotFound or InvalidInput
(`tenants/ledger/errors.py`). Times do not belong to a payload: work that a crash makes us repeat is
charged later than at first, and is the same charge.
"""

from tenants.ledger.services.budgets import budget_archive, budget_create, budget_update
from tenants.ledger.services.charges import charge_post
from tenants.ledger.services.credit import (
    grant_issue,
    grant_withdraw,
    grants_expire,
    payment_post,
)
from tenants.ledger.services.holds import hold_extend, hold_place, hold_release, holds_expire
from tenants.ledger.services.shares import share_lock, share_release, share_take_back
from tenants.ledger.services.transactions import (
    NewPosting,
    transaction_post,
    transaction_reverse,
)
from tenants.ledger.services.wallets import credit_require, wallet_change, wallet_lock

__all__ = [
    "NewPosting",
    "budget_archive",
    "budget_create",
    "budget_update",
    "charge_post",
    "credit_require",
    "grant_issue",
    "grant_withdraw",
    "grants_expire",
    "hold_extend",
    "hold_place",
    "hold_release",
    "holds_expire",
    "payment_post",
    "share_lock",
    "share_release",
    "share_take_back",
    "transaction_post",
    "transaction_reverse",
    "wallet_change",
    "wallet_lock",
]
