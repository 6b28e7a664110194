"""Plans and offers as rows: who may, one in force, what changed meanwhile, two at once."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.models import AuditEntry
from tenants.costs.models import PurchaseOffer, PurchasePlan
from tenants.costs.plan_months import month_add
from tenants.costs.plan_report import plan_work_out
from tenants.costs.purchase_offers import NewOffer, offer_withdraw, offers_set
from tenants.costs.purchase_plans import plan_adopt, plan_in_force
from tenants.kernel.errors import Conflict, NotFound, PermissionDenied
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import ScopeError, system_scope, tenant_scope
from tests.tenants.accounts.test_services import together
from tests.tenants.costs.factories import operator
from tests.tenants.costs.plans_made import adopt, books_make, offer_make, plan_adopted, plan_make

pytestmark = pytest.mark.django_db


@pytest.fixture
def resource(db: None) -> str:
    found = books_make()
    offer_make(found)
    return found


def test_adopting_is_written_down_and_told_once(resource: str) -> None:
    plan = plan_make()
    first = adopt(plan)
    again = adopt(plan)
    assert first.in_force
    assert again.adopted_at == first.adopted_at
    with system_scope():
        assert AuditEntry.objects.filter(action="purchase_plan.adopt").count() == 1
        told = OutboxEvent.objects.get(name="purchase_plan.adopted").payload
    assert told["plan_id"] == plan.id
    assert told["starts"] == plan.starts.isoformat()


def test_the_next_plan_names_the_one_whose_place_it_takes(resource: str) -> None:
    first, second = plan_adopted(), plan_make()
    with pytest.raises(Conflict, match=f"{first.id} is in force, not none") as caught:
        adopt(second)
    assert caught.value.code == "another_plan_in_force"
    assert adopt(second, replaces=first.id).in_force
    first.refresh_from_db(using="system")
    assert not first.in_force
    assert first.ended_at is not None
    assert first.ends == second.starts
    with pytest.raises(Conflict, match="was ended"):
        adopt(first, replaces=second.id)


def test_a_plan_whose_first_month_is_over_is_stale(resource: str) -> None:
    plan = plan_make()
    plan.starts = month_add(plan.starts, -1)
    with system_scope():
        plan.save(update_fields=["starts"])
    assert adopt(plan).in_force  # in its first month it still may be
    later = plan_make()
    later.starts = month_add(later.starts, -2)
    with system_scope():
        later.save(update_fields=["starts"])
    with pytest.raises(Conflict, match="which is over") as caught:
        adopt(later, replaces=plan.id)
    assert caught.value.code == "plan_stale"


def test_what_was_bought_since_a_plan_was_made_is_not_bought_twice(resource: str) -> None:
    """Another one, which buys in the month before it begins, was adopted meanwhile."""
    first, second = plan_make(), plan_make()
    first.starts = month_add(first.starts, -1)
    with system_scope():
        first.save(update_fields=["starts"])
    assert adopt(first).result["purchases"][0]["month"] == 0
    with pytest.raises(Conflict, match="was bought or ended since") as caught:
        adopt(second, replaces=first.id)
    assert caught.value.code == "held_changed"
    assert adopt(plan_make(), replaces=first.id).in_force


@pytest.mark.parametrize("how", ["changed", "withdrawn"])
def test_an_offer_that_changed_meanwhile_stops_the_plans_that_buy_it(
    resource: str, how: str
) -> None:
    plan = plan_make()
    other = offer_make(resource, name="too dear", monthly=Decimal(9000))
    with system_scope():
        offer_withdraw(actor=operator(), offer_id=other.id)  # not bought: nobody minds
        row = PurchaseOffer.objects.get(name="a year")
        if how == "withdrawn":
            offer_withdraw(actor=operator(), offer_id=row.id)
    if how == "changed":
        assert offer_make(resource, monthly=Decimal(721)).id != row.id
    with pytest.raises(Conflict, match="'a year' was changed or withdrawn") as caught:
        adopt(plan)
    assert caught.value.code == "offer_changed"


def test_an_offer_told_again_stays_the_same_offer(resource: str) -> None:
    plan = plan_make()
    with system_scope():
        before = PurchaseOffer.objects.get(name="a year").id
    assert offer_make(resource).id == before
    assert adopt(plan).in_force


def test_nobody_but_operators_in_the_systems_scope(resource: str) -> None:
    plan, staff = plan_make(), operator()
    customer = replace(staff, kind=ActorKind.MEMBER)
    offer = NewOffer(name="mine", resource=resource, months=1, capacity=Decimal(1))

    def refused(actor: Actor) -> None:
        with pytest.raises(PermissionDenied):
            plan_adopt(actor=actor, plan_id=plan.id, result={})
        with pytest.raises(PermissionDenied):
            offers_set(actor=actor, offers=[offer])
        with pytest.raises(PermissionDenied):
            offer_withdraw(actor=actor, offer_id="offer_1")

    with system_scope():
        refused(customer)
        with pytest.raises(NotFound):
            plan_adopt(actor=staff, plan_id="plan_none", result={})
    with tenant_scope(staff.tenant_id), pytest.raises(ScopeError):
        offers_set(actor=staff, offers=[offer])


@pytest.mark.django_db(transaction=True)
def test_of_two_adopted_at_once_one_is_in_force(resource: str) -> None:
    plans = [plan_make(), plan_make()]
    results = [plan_work_out(plan.drafted) for plan in plans]

    def act(plan: PurchasePlan, result: dict[str, Any]) -> Any:
        def run() -> None:
            with system_scope():
                plan_adopt(actor=operator(), plan_id=plan.id, result=result)

        return run

    errors = together(*(act(*one) for one in zip(plans, results, strict=True)))
    assert [getattr(error, "code", error) for error in errors] == ["another_plan_in_force"]
    with system_scope():
        assert plan_in_force() is not None
        assert PurchasePlan.objects.filter(adopted_at__isnull=False).count() == 1


def test_an_offer_has_a_last_day(resource: str) -> None:
    row = offer_make(resource, name="soon", until=dt.date(2030, 1, 1))
    assert row.cost == 12 * 720


@pytest.mark.django_db(transaction=True)
def test_an_offer_that_is_told_twice_at_once_is_one_offer(resource: str) -> None:
    """Anew, the same and something else: the later takes the place of the earlier."""

    def told(monthly: int) -> Any:
        return lambda: offer_make(resource, name="new", monthly=Decimal(monthly))

    for monthly in ((700, 700), (701, 702)):
        assert together(*(told(one) for one in monthly)) == []
        with system_scope():
            row = PurchaseOffer.objects.get(name="new", withdrawn_at=None)
        assert row.monthly in monthly
