"""Credit that an operator gives a tenant: a promotion or an allowance, never cash."""

from __future__ import annotations

import datetime as dt

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.billing.operators import operators_only
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.money import Money
from tenants.ledger.chart import GrantKind
from tenants.ledger.models import CreditGrant, LedgerTransaction
from tenants.ledger.services import grant_issue, wallet_lock
from tenants.pricing.price_writes import price_guard
from tenants.pricing.selectors.sales import GIVEN_BACK, NOT_GIVEN

MOST = 10**12


def credit_grant(
    *,
    actor: Actor,
    key: str,
    kind: GrantKind,
    amount: Money,
    reason: str,
    expires_at: dt.datetime | None = None,
) -> CreditGrant:
    """Give the actor's tenant credit that nobody paid for, once for each `key`.

    Paid credit comes by payments. Raises PermissionDenied, InvalidInput, Conflict where the key
    came with other terms, InvalidInput(code="price_below_floor") where the price of what the tenant
    buys, less all credit that it was given, lies below its floor.
    """
    operators_only(actor)
    if kind is GrantKind.PAID:
        raise InvalidInput("credit that was paid for comes with its payment", param="kind")
    if not 0 < amount.amount < MOST or amount.amount != round(amount.amount, 12):
        raise InvalidInput("credit is above 0, with 12 decimals at most", param="amount")
    if not 1 <= len(reason.strip()) <= 80:
        raise InvalidInput("say why, in 1 to 80 characters", param="reason")
    if expires_at is not None and expires_at <= now():
        raise InvalidInput("credit expires later than now", param="expires_at")
    if reason.strip() in NOT_GIVEN or reason.startswith(GIVEN_BACK):
        raise InvalidInput(
            f"{reason.strip()!r} names other credit; say it otherwise", param="reason"
        )
    own = f"operator:{key}"
    with price_guard(tenant_id=actor.tenant_id):
        wallet_lock(tenant_id=actor.tenant_id, currency=amount.currency)
        known = LedgerTransaction.objects.filter(tenant_id=actor.tenant_id, key=own).exists()
        grant_id = grant_issue(
            tenant_id=actor.tenant_id,
            key=own,
            kind=kind,
            amount=amount,
            source=reason.strip(),
            expires_at=expires_at,
        )
    if not known:
        data = {"amount": f"{amount.amount:f}", "currency": amount.currency, "reason": reason}
        audit_record(actor=actor, action="credit.grant", target=grant_id, data=data)
    grant: CreditGrant = CreditGrant.objects.select_related("wallet").get(pk=grant_id)
    if grant.expires_at != expires_at:  # no part of the ledger's payload: see `grant_issue`
        raise Conflict(
            f"this key stands for {grant.amount:f} {grant.wallet.currency} that expires "
            f"{grant.expires_at.isoformat() if grant.expires_at else 'never'}",
            param="key",
            code="key_reused",
        )
    return grant
