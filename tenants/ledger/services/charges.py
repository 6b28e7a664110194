"""Charges: what was sold, and who pays for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from tenants.ledger.calls import call, require_own
from tenants.ledger.chart import GrantKind
from tenants.ledger.statements import ChargeLine, ChargeOutcome, Labels, charge_statement


def charge_post(
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
) -> ChargeOutcome:
    """Charge `lines`: from the hold's parts, then free credit, then what is owed.

    Never refused for lack of credit: the work was done. Lines that sum below zero give money back:
    less is owed first, then the latest fundings get back what they paid.
    `spare`: kinds of free credit that are not to pay, as a month's allowance is not for plan fees.
    `shares`: partners' parts of it, or what of earlier ones goes back (`sql/shares.sql`).
    """
    require_own(tenant_id)
    statement = charge_statement(
        tenant_id=tenant_id,
        currency=currency,
        key=key,
        lines=lines,
        occurred_at=occurred_at,
        hold_key=hold_key,
        labels=labels,
        data=data,
        keep_hold=keep_hold,
        spare=spare,
        shares=shares,
    )
    return ChargeOutcome(*call(statement))
