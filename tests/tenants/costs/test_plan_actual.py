"""An adopted plan beside what happened, in numbers that were worked by hand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.costs.models import PurchasePlan
from tenants.costs.plan_actual import plan_actual
from tenants.costs.services import slot_time_record
from tenants.kernel.scope import system_scope
from tests.tenants.costs.factories import slot_time
from tests.tenants.costs.plans_made import books_make, offer_make, plan_adopted, plan_make, work

pytestmark = pytest.mark.django_db
APRIL = dt.datetime(2025, 4, 10, tzinfo=dt.UTC)


def first_of(month: int) -> dt.datetime:
    return dt.datetime(2025, month, 1, tzinfo=dt.UTC)


@pytest.fixture
def resource(db: None) -> str:
    found = books_make()
    offer_make(found)
    return found


@pytest.fixture
def plan(resource: str) -> PurchasePlan:
    """One unit, bought in January 2025; 280, 560 and 420 hours of work came, 10 were idle."""
    made = plan_adopted(months=6)
    assert [(row["month"], row["units"]) for row in made.result["purchases"]] == [(0, 1)]
    made.starts = dt.date(2025, 1, 1)
    with system_scope():
        made.save(update_fields=["starts"])
    for month, hours in ((1, 280), (2, 560), (3, 420)):
        work(resource, hours, first_of(month))
    idle = slot_time(
        0, 0, resource=resource, purpose="idle", started_at=first_of(3),
        ended_at=first_of(3) + dt.timedelta(hours=10), slot=1,
    )  # fmt: skip
    with system_scope():
        slot_time_record(entries=[idle])
    return made


def test_each_month_that_passed_is_set_beside_what_came(plan: PurchasePlan, resource: str) -> None:
    """At 70% utilisation 400, 800 and 600 hours were needed. A unit of 400 costs 720 a month, an
    hour on demand 3.60. With one unit: 720, 720 + 400 x 3.6, 720 + 200 x 3.6. Who had known would
    have bought a second one in February: 720, 1440, 1440.
    """
    with system_scope():
        passed = plan_actual(plan, APRIL)
    serve = f"{resource} serve"
    assert [m.month for m in passed.months] == [dt.date(2025, n, 1) for n in (1, 2, 3)]
    assert [m.actual[serve] for m in passed.months] == pytest.approx([400, 800, 600])
    assert [m.came for m in passed.months] == pytest.approx([720, 2160, 1440])
    assert [m.knowing for m in passed.months] == pytest.approx([720, 1440, 1440])
    assert passed.regret == pytest.approx(720)
    assert [(row["month"], row["units"]) for row in passed.bought] == [(0, 1), (1, 1)]
    assert [m.paid for m in passed.months] == [Decimal(1008), Decimal(2016), Decimal(1548)]
    assert [m.foreseen for m in passed.months] == pytest.approx(
        plan.result["costs"]["total"][:3]  # as it was foreseen, whatever came
    )
    for m in passed.months:
        assert m.low[serve] <= m.demand[serve] <= m.high[serve]


def test_only_whole_months_of_its_time_in_force_count(plan: PurchasePlan) -> None:
    with system_scope():
        assert plan_actual(plan, first_of(1) + dt.timedelta(days=30)).months == []
        assert len(plan_actual(plan, first_of(2)).months) == 1
        assert len(plan_actual(plan, dt.datetime(2026, 6, 1, tzinfo=dt.UTC)).months) == 6
        plan.ends = dt.date(2025, 3, 1)  # from March on another plan decides
        assert len(plan_actual(plan, APRIL).months) == 2


def test_what_was_not_adopted_is_compared_with_nothing(resource: str) -> None:
    made = plan_make()
    made.starts = dt.date(2025, 1, 1)
    with system_scope():
        assert plan_actual(made, APRIL).months == []
