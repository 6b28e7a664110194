"""Plans drafted from the books: demand, prices, offers, what is held; and what is refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from tenants.costs.daily import midnight
from tenants.costs.models import Rate
from tenants.costs.plan_months import month_add, month_begin, month_edges, month_of, months_between
from tenants.costs.plan_report import plan_case
from tenants.costs.planning import Supplier, plan_draft
from tenants.kernel.clock import now
from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import system_scope
from tests.tenants.costs.plans_made import (
    LONG_AGO,
    books_make,
    exchange,
    offer_make,
    plan_adopted,
    wish,
    work,
)
from tests.tenants.pricing.books import count
from tests.workers.jobs.factories import make_tenant

pytestmark = pytest.mark.django_db
HOUR = 3600


def draft(**changes: Any) -> dict[str, Any]:
    with system_scope():
        return plan_draft(wish(**changes), now(), exchange)


def test_months_are_counted_over_the_years() -> None:
    assert month_add(dt.date(2026, 11, 1), 3) == dt.date(2027, 2, 1)
    assert month_add(dt.date(2026, 3, 1), -3) == dt.date(2025, 12, 1)
    assert months_between(dt.date(2026, 11, 1), dt.date(2027, 2, 28)) == 3
    assert month_of(dt.datetime(2026, 11, 30, 23, tzinfo=dt.UTC)) == dt.date(2026, 11, 1)
    since = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
    assert month_edges(since, dt.date(2026, 12, 1), 1) == [1.0, 1 + 31 / 7]


def test_demand_is_the_books_work_at_planned_utilisation_month_by_month() -> None:
    """70 hours a week at 70% are 100; a month has as many weeks as it has days in sevens."""
    resource = books_make()
    offer_make(resource)
    drafted = draft(months=3)
    name = f"{resource} serve"
    assert drafted["case"]["classes"] == [name]
    assert drafted["weeks"][name] == pytest.approx([100.0] * 10)
    demand = plan_case(drafted).demand
    first = dt.date.fromisoformat(drafted["starts"])
    assert first == month_add(month_of(now()), 1)
    days = [
        (month_begin(month_add(first, n + 1)) - month_begin(month_add(first, n))).days
        for n in range(3)
    ]
    for scenario in demand[:, 0]:
        assert scenario == pytest.approx([100 / 7 * d for d in days])


def test_prices_are_those_in_force_and_spot_is_for_what_can_wait() -> None:
    resource = books_make()
    work(resource, 70, *weeks_back(10), kind="fine_tune")
    with system_scope():
        Rate.objects.create(
            resource_id=resource, kind="spot", amount=Decimal("0.0004"), valid_from=LONG_AGO
        )
    offer_make(resource, kinds=("serve",))
    case = draft(on_demand_limits={resource: Decimal(5000)})["case"]
    serve, tune = f"{resource} serve", f"{resource} fine_tune"
    on_demand, spot = case["markets"]
    assert on_demand["prices"] == pytest.approx({serve: 3.6, tune: 3.6})
    assert on_demand["limits"] == {serve: 5000.0, tune: 5000.0}
    assert spot["prices"] == pytest.approx({tune: 0.0004 * HOUR})
    assert case["penalty"][serve] == pytest.approx(36.0)
    assert case["offers"][0]["serves"] == [serve]
    assert [m["name"] for m in draft(spot=False)["case"]["markets"]] == ["on demand"]


def test_work_too_rare_to_foresee_is_left_out_and_told() -> None:
    resource = books_make()
    offer_make(resource)
    work(resource, 5, *weeks_back(2), kind="evaluate")
    drafted = draft()
    assert drafted["case"]["classes"] == [f"{resource} serve"]
    assert drafted["left_out"] == pytest.approx({f"{resource} evaluate": 10.0})


def test_an_offer_counts_until_its_last_day_in_dollars() -> None:
    resource = books_make()
    starts = month_add(month_of(now()), 1)
    last = month_add(starts, 1)
    offer_make(resource, upfront=Decimal(100), monthly=Decimal(10), currency="EUR", until=last)
    (offer,) = draft()["case"]["offers"]
    assert offer["cost"] == pytest.approx((100 + 12 * 10) * 1.1)
    assert offer["to_month"] == 2
    offer_make(resource, currency="JPY")
    with pytest.raises(InvalidInput, match="'a year' is in JPY: no exchange rate"):
        draft()
    offer_make(resource, until=starts - dt.timedelta(days=1))
    with pytest.raises(InvalidInput, match="none of 1 offers"):
        draft()


def test_what_a_plan_in_force_has_bought_is_held_for_as_long_as_it_runs() -> None:
    """A unit of 400 hours a month was bought for a year, five months before the next plan begins:
    for its first seven months it is held.
    """
    resource = books_make()
    offer_make(resource)
    plan = plan_adopted()
    (bought,) = plan.result["purchases"]
    assert (bought["month"], bought["units"]) == (0, 1)
    assert draft()["case"]["held"] == []  # it begins together with the next one
    plan.starts = month_add(plan.starts, -5)
    with system_scope():
        plan.save(update_fields=["starts"])
    (held,) = draft()["case"]["held"]
    assert held["serves"] == [f"{resource} serve"]
    assert held["capacity"] == [400.0] * 7 + [0.0] * 5


def test_a_supplier_of_what_is_not_served_is_refused() -> None:
    offer_make(books_make())
    with pytest.raises(InvalidInput, match="were served in the last four weeks"):
        draft(suppliers=(Supplier("Acme", "mini", Decimal(1)),))


def test_a_supplier_of_what_cannot_be_foreseen_is_refused() -> None:
    """Serving began two weeks ago; only training is foreseen."""
    resource = books_make(kind="fine_tune")
    offer_make(resource)
    work(resource, 5, *weeks_back(2))
    at = weeks_back(1)[0]
    count(make_tenant().id, "tokens.output", 1000, at=at, source="gateway", model="m", base="mini")
    with pytest.raises(InvalidInput, match="has served for too few weeks"):
        draft(suppliers=(Supplier("Acme", "mini", Decimal(1)),))


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-1", "1e400"])
@pytest.mark.parametrize("name", ["utilisation", "service", "penalty", "budget", "suppliers"])
def test_a_wish_is_of_numbers_that_make_sense(name: str, value: str) -> None:
    number = Decimal(value)
    given = (Supplier("Acme", "mini", number),) if name == "suppliers" else number
    with pytest.raises(InvalidInput) as caught:
        wish(**{name: given})
    assert caught.value.param == name


def test_a_utilisation_near_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="utilisation is a share above 0"):
        wish(utilisation=Decimal("1e-400"))


def weeks_back(count: int) -> list[dt.datetime]:
    until = midnight(now())
    return [until - dt.timedelta(weeks=n + 1) for n in range(count)]
