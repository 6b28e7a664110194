"""Purchase plans as rows: made once for each request, adopted, and ended by the next one.

What a plan comes to is its job's; it is kept here once it is adopted. System scope.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError
from django.db.models import QuerySet
from django.db.models.functions import Now

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.audit import audit_record
from tenants.costs.commitments import held_by_month
from tenants.costs.events import PurchasePlanAdopted
from tenants.costs.models import PurchaseOffer, PurchasePlan
from tenants.costs.plan_months import month_add, month_of
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict, NotFound, PermissionDenied
from tenants.kernel.outbox import emit
from tenants.kernel.scope import ScopeError, atomic, required_scope

WRITE = "billing.write"


def plans() -> QuerySet[PurchasePlan]:
    rows: QuerySet[PurchasePlan] = PurchasePlan.objects.order_by("-id")
    return rows


def plan_get(plan_id: str) -> PurchasePlan:
    """Raises NotFound."""
    found = plans().filter(pk=plan_id).first()
    if found is None:
        raise NotFound(f"no purchase plan {plan_id!r}", param="plan_id")
    return found


def plan_in_force() -> PurchasePlan | None:
    return plans().filter(in_force=True).first()


def plan_record(
    *, actor: Actor, job_id: str, key: str, fingerprint: str, drafted: Mapping[str, Any]
) -> PurchasePlan:
    """Write down what a job works out. Nothing is bought yet: it takes the right to start work.

    Raises PermissionDenied, IntegrityError where the key has a plan already.
    """
    _operators_only(actor, "jobs.write")
    row: PurchasePlan = PurchasePlan.objects.create(
        id=job_id,
        key=key,
        fingerprint=fingerprint,
        name=drafted["name"],
        starts=dt.date.fromisoformat(drafted["starts"]),
        months=len(drafted["forecast"]["edges"]) - 1,
        drafted=dict(drafted),
        created_by=actor.id,
    )
    return row


def plan_adopt(
    *, actor: Actor, plan_id: str, result: Mapping[str, Any], replaces: str = ""
) -> PurchasePlan:
    """Let a plan be the one in force, in the place of `replaces` ("": of none). Twice: once.

    Raises PermissionDenied, NotFound, and Conflict where another plan is in force, this one was
    ended, its first month has passed, what is held has changed since it was made, or what it buys
    is not offered so any more.
    """
    _operators_only(actor, WRITE)
    rows = PurchasePlan.objects.select_for_update()
    plan: PurchasePlan | None = rows.filter(pk=plan_id).first()
    if plan is None:
        raise NotFound(f"no purchase plan {plan_id!r}", param="plan_id")
    if plan.in_force:
        return plan
    list(rows.filter(in_force=True))  # waits for whoever is ending it, who may have begun another
    before = plan_in_force()
    _adoptable(plan, before, result, replaces)
    _begin(plan, before, result, actor)
    cost = f"{result['cost']:.2f}"
    data = {"name": plan.name, "replaces": replaces, "cost": cost}
    audit_record(actor=actor, action="purchase_plan.adopt", target=plan.id, data=data)
    emit(
        PurchasePlanAdopted(
            tenant_id=None, plan_id=plan.id, replaces=replaces, starts=plan.starts.isoformat()
        )
    )
    return plan


def _begin(
    plan: PurchasePlan, before: PurchasePlan | None, result: Mapping[str, Any], actor: Actor
) -> None:
    moment = database_now()
    if before is not None:
        before.in_force, before.ended_at, before.ends = False, moment, plan.starts
        before.save(update_fields=["in_force", "ended_at", "ends"])
    plan.in_force, plan.adopted_at, plan.adopted_by = True, moment, actor.id
    plan.result = dict(result)
    try:
        with atomic():
            plan.save(update_fields=["in_force", "adopted_at", "adopted_by", "result"])
    except IntegrityError as error:  # the first of all, twice at once
        raise _another("another plan was adopted meanwhile", "") from error


def _another(told: str, replaces: str) -> Conflict:
    return Conflict(
        f"{told}, not {replaces or 'none'}: look at it, and name it in replaces",
        param="replaces",
        code="another_plan_in_force",
    )


def _adoptable(
    plan: PurchasePlan, before: PurchasePlan | None, result: Mapping[str, Any], replaces: str
) -> None:
    if plan.ended_at is not None:
        raise Conflict(f"{plan.id} was ended; make a new plan", code="plan_ended")
    if (before.id if before else "") != replaces:
        told = f"{before.id} is in force" if before else "no plan is in force"
        raise _another(told, replaces)
    if month_of(database_now()) >= month_add(plan.starts, 1):
        raise Conflict(
            f"{plan.id} begins in {plan.starts:%Y-%m}, which is over; make a new plan",
            code="plan_stale",
        )
    _require_held(plan)
    bought = {row["offer"] for row in result["purchases"]}
    ids = [plan.drafted["offer_ids"][name] for name in sorted(bought)]
    gone = PurchaseOffer.objects.filter(pk__in=ids, withdrawn_at__lte=Now()).order_by("name")
    if row := gone.first():
        raise Conflict(
            f"the offer {row.name!r} was changed or withdrawn since the plan was made; make a new"
            " one",
            code="offer_changed",
        )


def _require_held(plan: PurchasePlan) -> None:
    """What was held when the plan was made is what is held now: else it buys too much or little."""
    case = plan.drafted["case"]
    known = {tuple(row["serves"]): row["capacity"] for row in case["held"]}
    if held_by_month(case["classes"], plan.starts, plan.months) != known:
        raise Conflict(
            f"capacity that serves in the months of {plan.id} was bought or ended since it was"
            " made; make a new plan",
            code="held_changed",
        )


def _operators_only(actor: Actor, permission: str) -> None:
    scope = required_scope()
    if scope.tenant_id is not None:
        raise ScopeError(f"plans are the platform's own; {scope} neither reads nor writes them")
    if actor.kind not in {ActorKind.OPERATOR, ActorKind.SYSTEM}:
        raise PermissionDenied("only the platform's operators plan what to buy")
    actor.require(permission)
