"""Paying partners what they may be paid, by operators or the platform. System scope."""

from __future__ import annotations

from collections.abc import Sequence

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.billing.operators import operators_only
from tenants.billing.payouts import Part, payer_named
from tenants.billing.selectors.partners import partner_balance
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.money import Money
from tenants.ledger.chart import AccountKind
from tenants.ledger.models import LedgerTransaction
from tenants.ledger.services import NewPosting, share_lock, transaction_post, wallet_lock

STRIPE = "stripe"


def partner_pay(
    *,
    actor: Actor,
    currency: str,
    key: str,
    sources: Sequence[Part] = (),
    payer: str = STRIPE,
) -> Money:
    """Pay the actor's tenant, a partner, all that is available in `currency` (but
    what is finer than money moves by), once for each `key`.

    `sources` names which customers' payments it comes from, so that it can be paid before they are
    available; the rest comes from the balance. From here on the money is on its way
    (`partner_paid`); a refusal brings it back. Returns what is paid, nothing where nothing was.
    Raises PermissionDenied, Conflict where the partner cannot be paid yet, InvalidInput for sources
    beyond what is available.
    """
    operators_only(actor)
    wallet_lock(tenant_id=actor.tenant_id, currency=currency)
    share_lock(tenant_id=actor.tenant_id)
    if known := _known(actor.tenant_id, key, currency):
        return known
    chosen = payer_named(payer)
    available = partner_balance(actor.tenant_id, AccountKind.PARTNER_AVAILABLE, currency)
    amount = chosen.payable(available)
    if amount.amount <= 0:
        return Money.zero(currency)
    chosen.require_ready(actor.tenant_id)
    parts = _parts(amount, sources)
    transaction_post(
        tenant_id=actor.tenant_id,
        key=_key(key),
        kind="partner_payout",
        postings=[
            NewPosting(AccountKind.PARTNER_AVAILABLE, amount, tenant_id=actor.tenant_id),
            NewPosting(AccountKind.PARTNER_PAID, -amount, tenant_id=actor.tenant_id),
        ],
        data={"amount": f"{amount.amount:f}", "currency": currency},
    )
    chosen.pay(actor.tenant_id, parts, key=key)
    audit_record(actor=actor, action="partner.pay", target=key, data={"amount": str(amount)})
    return amount


def _known(tenant_id: str, key: str, currency: str) -> Money | None:
    row = LedgerTransaction.objects.filter(tenant_id=tenant_id, key=_key(key)).first()
    if row is None:
        return None
    if row.data["currency"] != currency:
        raise Conflict("this key named a payout of another currency", code="key_reused")
    return Money.of(row.data["amount"], currency)


def _key(key: str) -> str:
    return f"partner_payout:{key}"


def _parts(amount: Money, sources: Sequence[Part]) -> list[Part]:
    """The sources, and what is left of the amount as a part without one."""
    rest = amount
    for part in sources:
        rest -= part.amount
    if rest.amount < 0 or any(part.amount.amount <= 0 for part in sources):
        raise InvalidInput(f"the sources come to more than the {amount} available", param="sources")
    return [*sources, *([Part(rest)] if rest.amount else [])]
