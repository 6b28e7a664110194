"""Books with steady work, offers, and plans made of them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from tenants.accounts.actors import Actor
from tenants.costs.daily import midnight
from tenants.costs.models import PurchaseOffer, PurchasePlan
from tenants.costs.plan_report import plan_work_out
from tenants.costs.planning import Wish, plan_draft
from tenants.costs.purchase_offers import NewOffer, offers_set
from tenants.costs.purchase_plans import plan_adopt, plan_record
from tenants.costs.services import slot_time_record
from tenants.kernel.clock import now
from tenants.kernel.errors import InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from tests.tenants.costs.factories import operator, resource_make, slot_time

WEEKS = 10
HOURS = 70.0  # of work a week; at a utilisation of 70%, 100 of capacity
ON_DEMAND = "0.001"  # a second: 3.60 an hour
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def books_make(*, hours: float = HOURS, weeks: int = WEEKS, kind: str = "serve") -> str:
    """Weeks of steady work on a new resource, up to last midnight; the resource's id."""
    resource = resource_make((LONG_AGO, ON_DEMAND))
    until = midnight(now())
    work(resource, hours, *(until - dt.timedelta(weeks=n + 1) for n in range(weeks)), kind=kind)
    return resource


def work(resource: str, hours: float, *begins: dt.datetime, kind: str = "serve") -> None:
    """That many hours of work on a slot of the resource from each moment on."""
    with system_scope():
        slot_time_record(
            entries=[
                slot_time(
                    0, 0, resource=resource, started_at=at, worker=new_id("wrk_"),
                    ended_at=at + dt.timedelta(hours=hours),
                    labels={"kind": kind, "base": "mini"},
                )
                for at in begins
            ]
        )  # fmt: skip


def offer_make(resource: str, *, actor: Actor | None = None, **changes: Any) -> PurchaseOffer:
    """A year of 400 hours a month, at half the price on demand, all of it at the end of a month."""
    fields: dict[str, Any] = {
        "name": "a year", "resource": resource, "months": 12, "capacity": Decimal(400),
        "monthly": Decimal(720),
    }  # fmt: skip
    with system_scope():
        offer = NewOffer(**fields | changes)
        return offers_set(actor=actor or operator(), offers=[offer])[0]


def wish(**changes: Any) -> Wish:
    fields: dict[str, Any] = {"name": "next year", "months": 12, "scenarios": 2, "unseen": 3}
    return Wish(**fields | changes)


def exchange(base: str) -> Decimal:
    """A euro is 1.10; nothing else is known."""
    if base != "EUR":
        raise InvalidInput(f"no exchange rate from {base} to USD", code="fx_missing")
    return Decimal("1.1")


def plan_make(*, today: dt.datetime | None = None, **changes: Any) -> PurchasePlan:
    """Draft a plan, as if its job had been submitted."""
    with system_scope():
        drafted = plan_draft(wish(**changes), today or now(), exchange)
        return plan_record(
            actor=operator(), job_id=new_id("plan_"), key=new_id("key_"), fingerprint="x",
            drafted=drafted,
        )  # fmt: skip


def plan_adopted(**changes: Any) -> PurchasePlan:
    return adopt(plan_make(**changes))


def adopt(plan: PurchasePlan, *, replaces: str = "", actor: Actor | None = None) -> PurchasePlan:
    """Work a plan out and adopt it."""
    result = plan_work_out(plan.drafted)
    with system_scope():
        return plan_adopt(
            actor=actor or operator(), plan_id=plan.id, result=result, replaces=replaces
        )
