"""What the database's functions refuse, as errors that a caller can be told.

The functions raise SQLSTATEs of class BW with JSON in DETAIL; both drivers' errors come through
`translate`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import psycopg

from tenants.kernel.errors import (
    BreakwaterError,
    Conflict,
    InsufficientCredit,
    InvalidInput,
    NotFound,
)
from tenants.kernel.money import Money

CONSTRAINT, DATA = "23", "22"  # SQLSTATE classes: integrity constraint, data exception


class CreditExhausted(InsufficientCredit):
    """`needed` is more than `available`; where nothing certain is needed, `needed` is zero."""

    code = "insufficient_credit"

    def __init__(self, needed: Money, available: Money) -> None:
        what = f"this needs up to {needed}, and " if needed.amount else ""
        super().__init__(f"{what}{available} of credit is available; top up or ask for a limit")
        self.needed = needed
        self.available = available


class BudgetExceeded(InsufficientCredit):
    """A hard budget forbids it."""

    code = "budget_exceeded"

    def __init__(self, detail: Mapping[str, Any]) -> None:
        whose = " ".join(filter(None, (detail["subject"], detail["ref"])))
        super().__init__(
            f"the budget {detail['budget']} ({whose}) allows {detail['hard']} {detail['currency']}"
            f" a month; {detail['spent']} are spent and {detail['held']} held"
        )
        self.budget_id = str(detail["budget"])


def translate(error: psycopg.Error) -> BreakwaterError:
    """Return what to tell the caller. Re-raises `error` where it is none of the ledger's."""
    state = error.sqlstate or ""
    message = error.diag.message_primary or ""
    if state.startswith("BW"):
        return _refusal(state, message, json.loads(error.diag.message_detail or "{}"))
    if state.startswith(DATA):
        return InvalidInput(message)
    if state.startswith(CONSTRAINT):
        return Conflict(f"the books refuse this: {message}", code="ledger_conflict")
    raise error


def _refusal(state: str, message: str, detail: Mapping[str, Any]) -> BreakwaterError:
    param = detail.get("param")
    if state == "BW402":
        needed, available = (
            Money(Decimal(detail[name]), detail["currency"]) for name in ("needed", "available")
        )
        return CreditExhausted(needed, available)
    if state == "BW403":
        return BudgetExceeded(detail)
    if state == "BW409":
        return Conflict(message, param=param, code=detail.get("code", "ledger_key_conflict"))
    if state == "BW404":
        return NotFound(message, param=param)
    return InvalidInput(message, param=param)
