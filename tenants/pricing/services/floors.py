"""Floors: how they are told, and who may sell below them: overrides and loss budgets."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.accounts.models import Tenant
from tenants.costs.defaults import CURRENCY as COST_CURRENCY
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.outbox import emit
from tenants.pricing.events import LossBudgetEnded, LossBudgetOpened, PriceOverridden
from tenants.pricing.floors import FloorTerms
from tenants.pricing.models import FloorPolicy, LossBudget, PriceBook, PriceOverride
from tenants.pricing.permissions import operators_only, reason_checked
from tenants.pricing.price_writes import prices_lock
from tenants.pricing.selectors.guarding import ANY_METER
from tenants.usage.meters import meter_named

LONGEST = dt.timedelta(days=366)  # of an override or a loss budget
MOST = Decimal(10) ** 15


def floor_policy_set(*, actor: Actor, terms: FloorTerms, reason: str) -> FloorPolicy:
    """Say how floors are told from now on. Raises PermissionDenied, InvalidInput without a reason,
    or for a share of more than 6 decimals.

    Prices that then lie below are found by the sweep; what is written from now on is held to it.
    """
    operators_only(actor)
    why = reason_checked(reason)
    shares = {"planned_utilisation": terms.planned_utilisation, **vars(terms.takes)}
    for name, value in shares.items():
        if value != round(value, 6):  # its column would round it, perhaps to nothing or to all
            raise InvalidInput(f"{name} has at most 6 decimals", param=name)
    prices_lock()
    policy: FloorPolicy = FloorPolicy.objects.create(
        id=new_id("floor_"),
        basis=terms.basis,
        **shares,
        days=terms.days,
        months=terms.months,
        reason=why,
        set_by=actor.id,
        created_at=database_now(),
    )
    told = {name: str(getattr(policy, name)) for name in _POLICY}
    audit_record(actor=actor, action="floor_policy.set", target=policy.id, data=told)
    return policy


def price_override_grant(
    *,
    actor: Actor,
    meter: str,
    reason: str,
    expires_at: dt.datetime,
    book_id: str = "",
    tenant_id: str = "",
) -> PriceOverride:
    """Give leave to sell `meter` ("*": any) below its floor until `expires_at`: in a book, or to
    one tenant. For legal review.

    Raises PermissionDenied, NotFound, InvalidInput without a reason, or past a year.
    """
    operators_only(actor)
    if meter != ANY_METER:
        meter_named(meter)
    if bool(book_id) == bool(tenant_id):
        raise InvalidInput("an override is for one book or for one tenant", param="book_id")
    why = reason_checked(reason)
    moment = database_now()
    if expires_at.tzinfo is None or not moment < expires_at <= moment + LONGEST:
        raise InvalidInput("an override expires within a year", param="expires_at")
    _check_named(book_id, tenant_id)
    override = PriceOverride.objects.create(
        id=new_id("over_"),
        tenant_id=tenant_id or None,
        book_id=book_id or None,
        meter=meter,
        reason=why,
        granted_by=actor.id,
        expires_at=expires_at,
    )
    data = {"meter": meter, "reason": override.reason, "expires_at": expires_at.isoformat()}
    audit_record(
        actor=actor,
        action="price_override.grant",
        target=override.id,
        data={**data, "book_id": book_id, "tenant_id": tenant_id, "legal_review": True},
    )
    emit(
        PriceOverridden(
            tenant_id=None,
            override_id=override.id,
            meter=meter,
            reason=override.reason,
            expires_at=expires_at,
        )
    )
    return override


def loss_budget_open(
    *,
    actor: Actor,
    reason: str,
    amount: Money,
    expires_at: dt.datetime,
    starts: dt.datetime | None = None,
    volume_cap: Decimal | None = None,
    campaign_id: str = "",
    tenant_id: str = "",
) -> LossBudget:
    """Approve a loss of `amount` between floor and short-run cost, of `volume_cap` units at most.

    For the price proposals that name it; with a tenant, for what that tenant pays. Raises
    PermissionDenied, NotFound, InvalidInput.
    """
    operators_only(actor)
    why = reason_checked(reason)
    if amount.currency != COST_CURRENCY:
        raise InvalidInput(
            f"a loss is counted in {COST_CURRENCY}, the currency of costs, not in "
            f"{amount.currency}",
            param="currency",
            code="currency_mismatch",
        )
    for name, value in (("amount", amount.amount), ("volume_cap", volume_cap)):
        if value is not None and not (0 < value < MOST and value == round(value, 12)):
            raise InvalidInput(f"{name} is above 0, with at most 12 decimals", param=name)
    moment = database_now()
    begins = starts or moment
    if begins.tzinfo is None or begins < moment:
        raise InvalidInput("a loss budget starts now or later", param="starts")
    if expires_at.tzinfo is None or not dt.timedelta(0) < expires_at - begins <= LONGEST:
        raise InvalidInput(
            "a loss budget expires after its start, within a year", param="expires_at"
        )
    _check_named("", tenant_id)
    budget: LossBudget = LossBudget.objects.create(
        id=new_id("loss_"),
        tenant_id=tenant_id or None,
        campaign_id=campaign_id,
        reason=why,
        amount=amount.amount,
        currency=amount.currency,
        volume_cap=volume_cap,
        starts=begins,
        expires_at=expires_at,
        approved_by=actor.id,
    )
    data = {
        "amount": str(amount.amount),
        "currency": amount.currency,
        "volume_cap": None if volume_cap is None else str(volume_cap),
        "expires_at": expires_at.isoformat(),
        "campaign_id": campaign_id,
        "tenant_id": tenant_id,
        "reason": why,
        "legal_review": True,
    }
    audit_record(actor=actor, action="loss_budget.open", target=budget.id, data=data)
    emit(
        LossBudgetOpened(
            tenant_id=None,
            budget_id=budget.id,
            campaign_id=campaign_id,
            amount=amount.amount,
            currency=amount.currency,
            expires_at=expires_at,
        )
    )
    return budget


def loss_budget_close(*, actor: Actor, budget_id: str) -> LossBudget:
    """Allow no further loss. The proposals under it end with the next `price_proposals_advance`.

    Raises PermissionDenied, NotFound, Conflict where it has ended.
    """
    operators_only(actor)
    prices_lock()
    budget = LossBudget.objects.select_for_update().filter(pk=budget_id).first()
    if budget is None:
        raise NotFound(f"no loss budget {budget_id!r}", param="loss_budget_id")
    if budget.ended_at is not None:
        raise Conflict(f"{budget_id} has already ended", param="loss_budget_id")
    loss_budget_end(actor=actor, budget=budget, why=LossBudget.End.CLOSED)
    return budget


def loss_budget_end(*, actor: Actor, budget: LossBudget, why: LossBudget.End) -> None:
    """Write down that a locked budget has ended, and tell it."""
    budget.ended_at, budget.ended_why = database_now(), why
    budget.save(update_fields=["ended_at", "ended_why"])
    data = {"why": str(why), "spent": str(budget.spent)}
    audit_record(actor=actor, action="loss_budget.end", target=budget.id, data=data)
    emit(
        LossBudgetEnded(
            tenant_id=None,
            budget_id=budget.id,
            why=str(why),
            spent=budget.spent,
            currency=budget.currency,
        )
    )


_POLICY = (
    "basis", "planned_utilisation", "fees", "share", "margin", "days", "months", "reason"
)  # fmt: skip


def _check_named(book_id: str, tenant_id: str) -> None:
    if book_id and not PriceBook.objects.filter(pk=book_id).exists():
        raise NotFound(f"no price book {book_id!r}", param="book_id")
    if tenant_id and not Tenant.objects.filter(pk=tenant_id).exists():
        raise NotFound(f"no tenant {tenant_id!r}", param="tenant_id")
