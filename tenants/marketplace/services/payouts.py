"""Paying partners what has come of age: ordered by operators, and told as made. System scope."""

from __future__ import annotations

from django.db.models.functions import Now

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.billing.operators import operators_only
from tenants.billing.payouts import Payer, payer_named
from tenants.billing.providers import MANUAL
from tenants.billing.selectors.partners import partner_balance
from tenants.billing.services.payouts import partner_pay
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.outbox import emit
from tenants.ledger.chart import AccountKind
from tenants.ledger.services import (
    NewPosting,
    share_lock,
    share_release,
    transaction_post,
    wallet_lock,
)
from tenants.marketplace.events import PartnerPaidOut
from tenants.marketplace.models import Payout
from tenants.marketplace.states import PayoutState
from tenants.partners.models import Agreement
from tenants.partners.permissions import partner_get
from tenants.partners.terms import terms_from_json


def payout_order(*, actor: Actor, currency: str, key: str, payer: str = MANUAL) -> Payout:
    """Pay the actor's tenant, a partner, all that is available in `currency`; once for each key.

    Raises PermissionDenied, Conflict where nothing is available, less than the agreement's least
    payout, or the payer cannot pay it yet, InvalidInput for a payer that does not exist.
    """
    operators_only(actor)
    partner_get(actor.tenant_id)
    chosen = payer_named(payer)
    wallet_lock(tenant_id=actor.tenant_id, currency=currency)  # first, as whatever takes both does
    share_lock(tenant_id=actor.tenant_id)
    known: Payout | None = Payout.objects.filter(tenant_id=actor.tenant_id, key=key).first()
    if known is not None:
        if (known.currency, known.payer) != (currency, payer):
            raise Conflict(
                f"this key stands for a payout of {known} by {known.payer}", code="key_reused"
            )
        return known
    share_release(tenant_id=actor.tenant_id, currency=currency, key=new_id("release_"))
    _require_enough(actor.tenant_id, currency, chosen)
    amount = partner_pay(actor=actor, currency=currency, key=key, payer=payer)
    row: Payout = Payout.objects.create(
        id=new_id("pay_"),
        tenant_id=actor.tenant_id,
        key=key,
        payer=payer,
        amount=amount.amount,
        currency=currency,
    )
    emit(
        PartnerPaidOut(actor.tenant_id, payout_id=row.id, amount=row.amount, currency=row.currency)
    )
    return row


def payout_confirm(*, actor: Actor, payout_id: str, reference: str) -> Payout:
    """Say that a payout by bank transfer was made, under the bank's reference; once.

    Raises NotFound, InvalidInput, Conflict for one that another payer makes.
    """
    operators_only(actor)
    row: Payout | None = Payout.objects.select_for_update().filter(pk=payout_id).first()
    if row is None:
        raise NotFound(f"no payout {payout_id!r}", param="payout_id")
    if row.payer != MANUAL:
        raise Conflict(f"{row.payer} tells us itself what it paid", code="payout_payer")
    if not 1 <= len(reference.strip()) <= 120:
        raise InvalidInput("a reference has 1 to 120 characters", param="reference")
    if row.state == PayoutState.PAID:
        return row
    amount = Money(row.amount, row.currency)
    transaction_post(
        tenant_id=row.tenant_id,
        key=f"partner_payout:{row.id}:sent",
        kind="partner_transfer",
        postings=[
            NewPosting(AccountKind.PARTNER_PAID, amount, tenant_id=row.tenant_id),
            NewPosting(AccountKind.CASH, -amount, ref=MANUAL),
        ],
        data={"reference": reference.strip()},
    )
    row.state, row.reference, row.paid_at = PayoutState.PAID, reference.strip(), Now()
    row.save(update_fields=["state", "reference", "paid_at"])
    row.refresh_from_db(fields=["paid_at"])
    audit_record(actor=actor, action="payout.confirm", target=row.id)
    return row


def _require_enough(tenant_id: str, currency: str, payer: Payer) -> None:
    balance = partner_balance(tenant_id, AccountKind.PARTNER_AVAILABLE, currency)
    available = payer.payable(balance)
    agreement = Agreement.objects.filter(tenant_id=tenant_id).order_by("-number").first()
    terms = terms_from_json(agreement.terms) if agreement else None
    least = terms.payout_minimum if terms and terms.currency == currency else 0
    if available.amount <= 0:
        raise Conflict(
            f"{available} is available: nothing was earned, or its hold period runs",
            code="payout_too_small",
        )
    if available.amount < least:
        raise Conflict(
            f"{available} is available; a payout is of at least {least}", code="payout_too_small"
        )
