"""Overheads: a month's amount by days, absorbed over planned volume, in shares and unit costs."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest

from tenants.accounts.actors import ActorKind
from tenants.costs.allocating import allocation_of
from tenants.costs.allocation import Overhead
from tenants.costs.daily import midnight
from tenants.costs.models import CostOverhead, Rate
from tenants.costs.overheads import overhead_end, overhead_set, overheads, overheads_between
from tenants.costs.services import slot_time_record
from tenants.costs.standard import Assumptions, Work, long_run
from tenants.costs.unit_economics import assumptions_of
from tenants.kernel.clock import now
from tenants.kernel.errors import InvalidInput, NotFound, PermissionDenied
from tenants.kernel.scope import system_scope
from tests.tenants.accounts.test_services import together
from tests.tenants.costs.factories import NOON, operator, resource_make, slot_time

MARCH = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
MONTH = Decimal("30.4375")  # days


def row(name: str, first: dt.date, ends: dt.date | None = None) -> None:
    CostOverhead.objects.create(
        id=f"overhead_{name}{first}", name=name, amount=Decimal(3043), driver="seconds",
        planned=Decimal(30437), valid_from=first, ends=ends,
    )  # fmt: skip


def test_a_units_overhead_follows_its_driver_at_planned_volume() -> None:
    """10 seconds at 0.5 of overhead each, and a tenth of a direct cost of 7; utilisation 70%."""
    work = [Work("worker.gpu", Decimal(7), Decimal(10))]
    given = Assumptions(
        overheads=[
            Overhead("office", Decimal(500), "seconds", planned=Decimal(1000)),
            Overhead("support", Decimal(1), "direct", planned=Decimal(10)),
        ]
    )
    assert long_run(work, Decimal(1), given) == Decimal(10) + 5 + Decimal("0.7")
    assert long_run(work, Decimal(2), given) == (Decimal(10) + 5 + Decimal("0.7")) / 2
    assert long_run(work, Decimal(1), replace(given, overheads=())) == Decimal(10)


@pytest.mark.django_db
def test_days_of_a_month_bear_their_part_of_what_was_in_force() -> None:
    with system_scope():
        row("office", dt.date(2026, 3, 6), dt.date(2026, 3, 11))
        row("office", dt.date(2026, 3, 11))
        row("gone", dt.date(2026, 1, 1), dt.date(2026, 3, 1))
        row("later", dt.date(2026, 4, 1))
        found = overheads_between(MARCH, MARCH + dt.timedelta(days=20))
    assert [one.name for one in found] == ["office", "office"]
    assert [float(one.amount) for one in found] == pytest.approx(
        [float(3043 * 5 / MONTH), float(3043 * 10 / MONTH)]
    )
    assert float(found[0].planned) == pytest.approx(float(30437 * 20 / MONTH))


@pytest.mark.django_db
def test_what_volume_does_not_absorb_is_the_companys() -> None:
    """A day's work is 600 s of the 1000 that are planned: three fifths of the overhead are its."""
    resource = resource_make((NOON - dt.timedelta(days=1), "0.01"))
    day = midnight(NOON)
    with system_scope():
        slot_time_record(entries=[slot_time(0, 600, resource=resource)])
        CostOverhead.objects.create(
            id="overhead_1", name="office", amount=10 * MONTH, driver="seconds",
            planned=1000 * MONTH, valid_from=day.date(), ends=day.date() + dt.timedelta(days=1),
        )  # fmt: skip
        found = allocation_of(since=day, until=day + dt.timedelta(days=1))
    shares = {component: amount for (_, component), amount in found.shares.items()}
    assert shares == {"direct": Decimal(6), "overhead": Decimal(6)}
    assert found.strategic["office"] == Decimal(4)
    assert found.allocated + found.strategic_idle == found.total == Decimal(16)


@pytest.mark.django_db
def test_one_that_takes_anothers_place_absorbs_as_if_it_had_gone_on() -> None:
    """Two days' work is 400 s of the 2000 that are planned: a fifth of 10 a day is absorbed."""
    resource = resource_make((NOON - dt.timedelta(days=2), "0.01"))
    day, first = dt.timedelta(days=1), midnight(NOON) - dt.timedelta(days=1)
    with system_scope():
        entries = [slot_time(0, 200, resource=resource, slot=1)]
        entries.append(slot_time(-86_400, -86_200, resource=resource, slot=2))
        slot_time_record(entries=entries)
        for number, begin in enumerate((first, first + day)):
            CostOverhead.objects.create(
                id=f"overhead_{number}", name="office", amount=10 * MONTH, driver="seconds",
                planned=1000 * MONTH, valid_from=begin.date(), ends=(begin + day).date(),
            )  # fmt: skip
        found = allocation_of(since=first, until=first + 2 * day)
        paid = assumptions_of(first, first + 2 * day).overheads
    assert sum(a for (_, part), a in found.shares.items() if part == "overhead") == Decimal(4)
    assert found.strategic["office"] == Decimal(16)
    assert found.allocated + found.strategic_idle == found.total == Decimal(24)
    # A unit bears what is paid in the end, once: 10 a day for 1000 seconds of it.
    assert [one.amount / one.planned for one in paid] == [Decimal("0.01")]


@pytest.mark.django_db
def test_the_largest_is_told_for_any_length_of_time() -> None:
    with system_scope():
        overhead_set(
            actor=operator(), name="office", amount=Decimal(10**14 - 1), driver="direct",
            planned=Decimal("0.000001"),
        )  # fmt: skip
        (found,) = overheads_between(MARCH, dt.datetime(9999, 1, 1, tzinfo=dt.UTC))
    assert found.amount > 10**18


@pytest.mark.django_db
def test_a_volume_of_next_to_nothing_is_absorbed_whole() -> None:
    resource = resource_make((NOON - dt.timedelta(days=1), "0.01"))
    day = midnight(NOON)
    with system_scope():
        slot_time_record(entries=[slot_time(0, 600, resource=resource)])
        CostOverhead.objects.create(
            id="overhead_1", name="office", amount=10 * MONTH, driver="seconds",
            planned=Decimal("0.000001"), valid_from=day.date(),
        )  # fmt: skip
        found = allocation_of(since=day, until=day + dt.timedelta(days=1))
    assert found.strategic["office"] == 0


@pytest.mark.django_db
def test_pools_that_are_owned_or_reserved_are_shared_by_their_peak() -> None:
    """Two classes work an hour each, one of them in the fullest hour alone: it bears the waiting
    that is planned for.
    """
    resource = resource_make((NOON - dt.timedelta(days=1), "0.01"), kind=Rate.Kind.OWNED)
    spent = [
        slot_time(0, 3600, resource=resource, labels={"kind": "serve"}, rate_kind="owned"),
        slot_time(7200, 9000, resource=resource, labels={"kind": "fine_tune"}, rate_kind="owned"),
        slot_time(10800, 12600, resource=resource, labels={"kind": "fine_tune"}, slot=1,
                  rate_kind="owned"),
        slot_time(3600, 7200, resource=resource, purpose="idle", rate_kind="owned"),
    ]  # fmt: skip
    day = midnight(NOON)
    with system_scope():
        slot_time_record(entries=spent)
        found = allocation_of(since=day, until=day + dt.timedelta(days=1))
    idle = {who.kind: amount for (who, part), amount in found.shares.items() if part == "idle"}
    assert set(idle) == {"serve"}
    assert found.allocated + found.strategic_idle == found.total


@pytest.mark.django_db
def test_one_of_a_name_takes_the_place_of_the_former_and_is_ended() -> None:
    staff = operator()
    given = {"name": "office", "driver": "seconds", "planned": Decimal(10)}
    with system_scope():
        first = overhead_set(actor=staff, amount=Decimal(1), **given)  # type: ignore[arg-type]
        second = overhead_set(actor=staff, amount=Decimal(2), **given)  # type: ignore[arg-type]
        first.refresh_from_db()
        assert (first.ends, second.ends) == (now().date(), None)
        tomorrow = midnight(now()) + dt.timedelta(days=1)
        (counted,) = overheads_between(tomorrow - dt.timedelta(days=1), tomorrow)
        assert float(counted.amount) == pytest.approx(float(2 / MONTH))
        ended = overhead_end(actor=staff, overhead_id=second.id)
        assert overhead_end(actor=staff, overhead_id=second.id).ends == ended.ends
        assert overheads().filter(ends=None).count() == 0
        with pytest.raises(NotFound):
            overhead_end(actor=staff, overhead_id="overhead_none")
        with pytest.raises(PermissionDenied):
            overhead_set(
                actor=replace(staff, kind=ActorKind.MEMBER),
                amount=Decimal(1),
                **given,  # type: ignore[arg-type]
            )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"name": " "}, "name"),
        ({"amount": Decimal(-1)}, "amount"),
        ({"planned": Decimal(0)}, "planned"),
        ({"driver": "people"}, "driver"),
    ],
)
def test_an_overhead_that_makes_no_sense_is_refused_by_name(
    changes: dict[str, object], param: str
) -> None:
    given = {"name": "office", "amount": Decimal(1), "driver": "direct", "planned": Decimal(1)}
    with system_scope(), pytest.raises(InvalidInput) as caught:
        overhead_set(actor=operator(), **given | changes)  # type: ignore[arg-type]
    assert caught.value.param == param


@pytest.mark.django_db(transaction=True)
def test_an_overhead_that_is_set_twice_at_once_is_absorbed_once() -> None:
    """First where there is none of the name, then in the place of one."""
    staff = operator()

    def setting(amount: int) -> None:
        with system_scope():
            overhead_set(
                actor=staff, name="office", amount=Decimal(amount), driver="direct",
                planned=Decimal(10),
            )  # fmt: skip

    for amounts in (range(1, 7), range(7, 13)):
        assert together(*(partial(setting, one) for one in amounts)) == []
        with system_scope():
            assert overheads().get(ends=None).amount in amounts
