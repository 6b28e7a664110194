"""Budgets: what a month may cost, of a tenant, an API key or a model."""

from __future__ import annotations

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.kernel.errors import NotFound
from tenants.kernel.money import Money
from tenants.ledger.calls import call, require_currency, require_own
from tenants.ledger.models import Budget
from tenants.ledger.statements import Statement

_CREATE = """SELECT budget_create(%(tenant_id)s, %(currency)s, %(subject)s, %(ref)s,
    %(soft)s::numeric, %(hard)s::numeric)"""
_CHANGE = """SELECT budget_change(%(tenant_id)s, %(budget_id)s, %(soft)s::numeric,
    %(hard)s::numeric)"""
_ARCHIVE = "SELECT budget_archive(%(tenant_id)s, %(budget_id)s)"


def budget_create(
    *,
    actor: Actor,
    subject: Budget.Subject,
    currency: str,
    ref: str = "",
    soft: Money | None = None,
    hard: Money | None = None,
) -> Budget:
    """Limit a month's charges, tax in them, of the tenant, of the API key or of the model `ref`.

    What this month was charged before counts. Raises InvalidInput; Conflict where there is one.
    """
    actor.require("billing.write")
    require_own(actor.tenant_id)
    params = {
        "tenant_id": actor.tenant_id,
        "currency": currency,
        "subject": str(subject),
        "ref": ref,
        **_limits(soft, hard, currency),
    }
    budget_id = call(Statement(_CREATE, params))[0]
    return _recorded(actor, "budget.create", budget_id)


def budget_update(
    *, actor: Actor, budget_id: str, soft: Money | None, hard: Money | None
) -> Budget:
    """Set both limits anew. Raises NotFound, InvalidInput."""
    actor.require("billing.write")
    require_own(actor.tenant_id)
    limits = _limits(soft, hard, _budget(actor, budget_id).currency)
    call(Statement(_CHANGE, {"tenant_id": actor.tenant_id, "budget_id": budget_id, **limits}))
    return _recorded(actor, "budget.update", budget_id)


def budget_archive(*, actor: Actor, budget_id: str) -> Budget:
    """Stop counting for a budget. Raises NotFound."""
    actor.require("billing.write")
    require_own(actor.tenant_id)
    call(Statement(_ARCHIVE, {"tenant_id": actor.tenant_id, "budget_id": budget_id}))
    return _recorded(actor, "budget.archive", budget_id)


def _limits(soft: Money | None, hard: Money | None, currency: str) -> dict[str, object]:
    for limit in (soft, hard):
        if limit is not None:
            require_currency(limit, currency)
    return {"soft": soft and soft.amount, "hard": hard and hard.amount}


def _budget(actor: Actor, budget_id: str) -> Budget:
    found: Budget | None = Budget.objects.filter(tenant_id=actor.tenant_id, id=budget_id).first()
    if found is None:
        raise NotFound(f"there is no budget {budget_id}")
    return found


def _recorded(actor: Actor, action: str, budget_id: str) -> Budget:
    budget = _budget(actor, budget_id)
    limits = {"soft": budget.soft, "hard": budget.hard}
    data = {name: str(limit) for name, limit in limits.items() if limit is not None}
    audit_record(actor=actor, action=action, target=budget_id, data=data)
    return budget
