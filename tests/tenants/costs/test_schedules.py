"""Schedules of rates say one thing for every moment; owned machines have a price a second."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from tenants.costs.models import Rate
from tenants.costs.schedules import Owned, RatePeriod, owned_rate, schedule_checked
from tenants.costs.services import rates_schedule
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.scope import system_scope
from tests.tenants.costs.factories import after, operator, resource_make


def test_an_owned_machine_costs_its_loss_of_value_power_space_and_interest() -> None:
    """30,000 over 4 years to 6,000 is 6,000 a year; 18,000 tied up at 5% is 900; 700 W at 0.12 for
    8,766 h is 736.344; 1,363.656 of space: 9,000 a year for 8 slots of 31,557,600 s.
    """
    machine = Owned(
        price=Decimal(30_000), life_years=Decimal(4), slots=8, resale=Decimal(6_000),
        watts=Decimal(700), per_kwh=Decimal("0.12"), a_year=Decimal("1363.656"),
        interest=Decimal("0.05"),
    )  # fmt: skip
    assert owned_rate(machine) == Decimal("0.000035649099")


@pytest.mark.parametrize(
    "changes",
    [
        {"life_years": 0},
        {"slots": 0},
        {"resale": 2},
        {"price": -1, "resale": -1},
        {"watts": -1},
        {"price": 10**25},
        {"life_years": "1e-12", "price": 10**10},
        {"watts": 10**25, "per_kwh": 10**25},
    ],
)
def test_a_machine_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    numbers = {"price": 1, "life_years": 1} | changes
    fields: dict[str, Any] = {name: Decimal(value) for name, value in numbers.items()}
    fields["slots"] = changes.get("slots", 1)
    with pytest.raises(InvalidInput):
        owned_rate(Owned(**fields))


def period(since: float, until: float | None, amount: str = "1", **more: Any) -> RatePeriod:
    return RatePeriod(
        Decimal(amount), after(since), None if until is None else after(until), **more
    )


def test_a_schedule_without_gap_or_overlap_is_put_in_order() -> None:
    found = schedule_checked([period(20, None), period(0, 10), period(10, 20)])
    assert [p.since for p in found] == [after(0), after(10), after(20)]


@pytest.mark.parametrize(
    ("periods", "says"),
    [
        ([period(0, 11), period(10, None)], "overlaps"),
        ([period(0, None), period(10, None)], "overlaps"),
        ([period(0, 9), period(10, None)], "no rate between"),
        ([period(0, 10)], "leave the last one open"),
        ([period(0, 0), period(0, None)], "ends before"),
        ([period(0, None, "-1")], "below 0"),
        ([period(0, None, currency="EUR")], "convert first"),
        ([], "at least one"),
    ],
)
def test_other_schedules_are_refused_by_name(periods: list[RatePeriod], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        schedule_checked(periods)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", Rate.Kind.values)
def test_a_schedule_becomes_rates_all_or_none(kind: str) -> None:
    resource, actor = resource_make(), operator()
    start = database_now() + dt.timedelta(days=1)
    middle = start + dt.timedelta(days=30)
    periods = [RatePeriod(Decimal(2), start, middle), RatePeriod(Decimal(1), middle)]
    with system_scope():
        rates_schedule(actor=actor, resource_id=resource, kind=kind, periods=periods)
        rates = Rate.objects.filter(resource_id=resource, kind=kind).order_by("valid_from")
        assert [(r.amount, r.valid_from) for r in rates] == [(2, start), (1, middle)]
        earlier = [RatePeriod(Decimal(3), middle - dt.timedelta(hours=1))]
        with pytest.raises(Conflict, match="within the schedule"):
            rates_schedule(actor=actor, resource_id=resource, kind=kind, periods=earlier)
        assert rates.count() == 2
