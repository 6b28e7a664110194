"""Other transactions: balanced sets of postings, and their reversal. In the system's scope."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenants.kernel.money import Money
from tenants.ledger.calls import call, require_own
from tenants.ledger.chart import AccountKind
from tenants.ledger.statements import Statement, to_json

_POST = """SELECT ledger_post(%(key)s, %(kind)s, %(tenant_id)s, %(occurred_at)s::timestamptz,
    %(postings)s::jsonb, %(data)s::jsonb)"""


@dataclass(frozen=True)
class NewPosting:
    """Debit positive, credit negative. `tenant_id` names a partner; the chart knows the others."""

    kind: AccountKind
    amount: Money
    ref: str = ""
    tenant_id: str = ""


def transaction_post(
    *,
    tenant_id: str,
    key: str,
    kind: str,
    postings: Sequence[NewPosting],
    occurred_at: dt.datetime | None = None,
    data: Mapping[str, Any] | None = None,
) -> str:
    """Write a balanced set of postings (system scope); return the transaction's id.

    What does not balance is refused here, and once more by the database when it commits.
    """
    require_own(tenant_id)
    rows = [
        {
            "tenant": posting.tenant_id or None,
            "kind": str(posting.kind),
            "ref": posting.ref,
            "currency": posting.amount.currency,
            "amount": f"{posting.amount.amount:f}",
        }
        for posting in postings
    ]
    params = {
        "tenant_id": tenant_id,
        "key": key,
        "kind": kind,
        "occurred_at": occurred_at,
        "postings": json.dumps(rows),
        "data": to_json(data),
    }
    return str(call(Statement(_POST, params))[0])


def transaction_reverse(
    *, tenant_id: str, key: str, transaction_id: str, data: Mapping[str, Any] | None = None
) -> str:
    """Write a transaction's postings with their signs turned (system scope); return its id.

    A charge is not reversed but given back, by `charge_post` with lines below zero.
    """
    require_own(tenant_id)
    statement = Statement(
        "SELECT ledger_reverse(%(tenant_id)s, %(key)s, %(transaction_id)s, %(data)s::jsonb)",
        {
            "tenant_id": tenant_id,
            "key": key,
            "transaction_id": transaction_id,
            "data": to_json(data),
        },
    )
    return str(call(statement)[0])
