"""Purchase plans as staff make them: drafted from the books, worked out as jobs, adopted."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import asdict
from typing import Any

from django.db import IntegrityError

from saas.acting import acting_for
from tenants.accounts.actors import Actor
from tenants.accounts.services import platform_tenant_ensure
from tenants.billing.documents.invoice_csv import safe_cell
from tenants.costs.defaults import CURRENCY
from tenants.costs.models import PurchasePlan
from tenants.costs.plan_months import month_add
from tenants.costs.planning import Wish, plan_draft
from tenants.costs.purchase_plans import plan_adopt, plan_get, plan_record, plans
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict
from tenants.kernel.idempotency import key_reused
from tenants.kernel.scope import atomic
from tenants.pricing.selectors import exchange_rate
from workers.jobs.models import Job
from workers.jobs.selectors import job_get
from workers.jobs.services import job_cancel, job_submit
from workers.jobs.states import Kind, State

CSV_COLUMNS = ("month", "offer", "units", "until", "upfront", "monthly", "cost", "currency")


def procurement_submit(*, actor: Actor, wish: Wish, key: str) -> PurchasePlan:
    """Draft a plan from the books and have a job work it out; once for each key.

    Raises PermissionDenied, InvalidInput as `plan_draft` does, and Conflict where the key was used
    for another wish.
    """
    fingerprint = hashlib.sha256(json.dumps(asdict(wish), default=str).encode()).hexdigest()
    known = _made_before(actor, key, fingerprint)
    if known is not None:
        return known
    moment = database_now()
    drafted = plan_draft(wish, moment, lambda base: exchange_rate(base, CURRENCY, moment))
    try:
        with atomic():
            job = job_submit(
                actor=acting_for(actor, platform_tenant_ensure().id),
                kind=Kind.PROCURE,
                spec={"plan": drafted},
            )
            return plan_record(
                actor=actor, job_id=job.id, key=key, fingerprint=fingerprint, drafted=drafted
            )
    except IntegrityError:
        twin = _made_before(actor, key, fingerprint)
        if twin is None:
            raise
        return twin


def procurement_cancel(*, actor: Actor, plan_id: str) -> Job:
    """Raises PermissionDenied, NotFound, Conflict once it has ended."""
    job = job_get(plan_get(plan_id).id, kind=Kind.PROCURE)
    return job_cancel(actor=acting_for(actor, job.tenant_id), job_id=job.id)


def procurement_adopt(*, actor: Actor, plan_id: str, replaces: str = "") -> PurchasePlan:
    """Raises what `plan_adopt` does, and Conflict while there is no result."""
    result = procurement_result(plan_id)
    return plan_adopt(actor=actor, plan_id=plan_id, result=result, replaces=replaces)


def procurement_result(plan_id: str) -> dict[str, Any]:
    """What a plan came to. Raises NotFound, Conflict while its job has not succeeded."""
    plan = plan_get(plan_id)
    if plan.result is not None:
        found: dict[str, Any] = plan.result
        return found
    job = job_get(plan.id, kind=Kind.PROCURE)
    if job.state != State.SUCCEEDED:
        raise Conflict(
            f"{job.id} is {job.state}; it has a result once it has succeeded",
            code="plan_not_finished",
        )
    made: dict[str, Any] = job.result["plan"]
    return made


def purchases_csv(plan: PurchasePlan) -> str:
    """What to buy when, as CSV: months as 2026-12, money of all the units. Raises Conflict."""
    offers = {row["name"]: row for row in plan.drafted["case"]["offers"]}
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS)
    writer.writeheader()
    for row in procurement_result(plan.id)["purchases"]:
        offer = offers[row["offer"]]
        writer.writerow(
            {
                "month": f"{month_add(plan.starts, row['month']):%Y-%m}",
                "offer": safe_cell(row["offer"]),
                "units": row["units"],
                "until": f"{month_add(plan.starts, row['until']):%Y-%m}",
                "upfront": f"{offer['upfront'] * row['units']:.2f}",
                "monthly": f"{offer['monthly'] * row['units']:.2f}",
                "cost": f"{row['cost']:.2f}",
                "currency": plan.drafted["currency"],
            }
        )
    return out.getvalue()


def _made_before(actor: Actor, key: str, fingerprint: str) -> PurchasePlan | None:
    actor.require("jobs.write")
    known = plans().filter(key=key).first()
    if known is not None and known.fingerprint != fingerprint:
        raise key_reused()
    return known
