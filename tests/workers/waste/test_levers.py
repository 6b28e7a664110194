"""Levers from the books: shared passes, smaller models, use of slots, prices paid."""

from __future__ import annotations

import calendar
import datetime as dt
from decimal import Decimal

import pytest

from tenants.costs.daily import midnight
from tenants.costs.levers import levers_newest, ratio_gain
from tenants.costs.models import PurchasePlan, Rate
from tenants.costs.services import resources_ensure, slot_time_record
from tenants.costs.slot_time import SlotTime
from tenants.kernel.clock import now
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from tests.tenants.pricing.books import count
from tests.workers.jobs.factories import make_tenant
from tests.workers.waste.factories import ago, base_make, job_make, price_gpu
from workers.assets.models import ModelVersion
from workers.waste.levers import levers_measure

RATE = Decimal("0.000694444444")


def spend(days: float, hours: float, *, purpose: str = "job", **fields: object) -> SlotTime:
    begin = ago(days)
    mine = {} if purpose == "idle" else {"tenant_id": "ten_1", "job_id": "j", "attempt": 1}
    given = {"worker": "w", "slot": 0, "resource": "worker.gpu", "key": new_id("k_")}
    when = {"started_at": begin, "ended_at": begin + dt.timedelta(hours=hours)}
    return SlotTime(purpose=purpose, **(given | mine | when | fields))  # type: ignore[arg-type]


def recorded(*entries: SlotTime) -> None:
    with system_scope():
        slot_time_record(entries=entries)


def measured() -> dict[str, object]:
    levers_measure()
    with system_scope():
        return {row.lever: row for row in levers_newest()}


def test_a_gain_is_a_ratio_of_sums_with_the_spread_of_its_parts() -> None:
    point, low, high = ratio_gain([1.0, 1.0, 3.0], [2.0, 2.0, 4.0])
    assert point == pytest.approx(3 / 8)
    assert 0.25 <= low < point < high <= 0.5
    assert ratio_gain([1.0] * 9, [2.0] * 9) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="nothing"):
        ratio_gain([], [])


@pytest.mark.django_db
def test_shared_passes_are_set_against_jobs_that_ran_alone() -> None:
    """Alone, a million tokens take an hour; in a cohort, three quarters of one."""
    price_gpu(on_demand="0.0007")
    tenant = make_tenant()
    labels = {"kind": "fine_tune", "base": "mini"}
    entries = []
    for number in range(8):
        job = f"job_{number}"
        cohort = {"cohort": "c"} if number >= 4 else {}
        hours = 0.75 if cohort else 1.0
        entries.append(
            spend(5, hours, job_id=job, tenant_id=tenant.id, labels=labels | cohort, slot=number)
        )
        count(tenant.id, "tokens.trained", 1_000_000, at=ago(5), source="jobs", model="m",
              base="mini", job_id=job)  # fmt: skip
    recorded(*entries)
    found = measured()["cohort"]
    assert found.point == pytest.approx(0.25)  # type: ignore[attr-defined]
    assert found.sample == 4  # type: ignore[attr-defined]
    assert found.saved == (3600 * RATE).quantize(Decimal("0.000001"))  # type: ignore[attr-defined]


@pytest.mark.django_db
def test_smaller_models_are_set_against_their_dense_ones_by_all_that_they_served() -> None:
    """A million tokens take an hour dense, and half of one compressed; adapters came along."""
    price_gpu(on_demand="0.001")
    tenant = make_tenant()
    metrics = {"dense_latency_ms": 3.6 * 128, "latency_ms": 1.8 * 128, "latency_tokens": 128}
    job = job_make(tenant, kind="compress", spec={"base_id": "mini"}, result={"metrics": metrics})
    found = measured()["compression"]
    assert found.point == pytest.approx(0.5)  # type: ignore[attr-defined]
    assert found.saved == 0  # type: ignore[attr-defined]  # none was served yet

    base_make()
    for name in ("small", "small:adapter"):
        with system_scope():
            ModelVersion.objects.create(
                id=new_id("mv_"), tenant_id=tenant.id, name=name, job_id=job.id, base_id="mini",
                kind=ModelVersion.Kind.FULL, licence="x", code_version="0", bytes=1,
                sha256="0" * 64, storage_key=new_id("k_"),
            )  # fmt: skip
        count(tenant.id, "tokens.output", 3_000_000, at=ago(3), source="gateway", model=name,
              base="mini")  # fmt: skip
    found = measured()["compression"]
    assert found.point == pytest.approx(0.5)  # type: ignore[attr-defined]
    assert found.saved == 6 * 1800 * Decimal("0.001")  # type: ignore[attr-defined]


@pytest.mark.django_db
def test_use_of_slots_is_set_against_the_plan_and_prices_against_on_demand() -> None:
    """Half busy at a plan of 70% is 5/7 of it; a third of the price is two thirds saved."""
    price_gpu(on_demand="0.0009", spot="0.0003")
    begin = now() + dt.timedelta(seconds=1)
    day = {"started_at": begin, "ended_at": begin + dt.timedelta(hours=1)}
    entries = [
        SlotTime(
            worker="w", slot=slot, resource="worker.gpu", purpose=purpose, key=new_id("k_"),
            rate_kind="spot", **day,
            **({} if purpose == "idle" else {"tenant_id": "t", "job_id": "j", "attempt": 1}),
        )
        for slot, purpose in enumerate(["job", "idle"])
    ]  # fmt: skip
    recorded(*entries)
    found = measured()
    assert found["utilisation"].point == pytest.approx(1 - 0.7 / 0.5)  # type: ignore[attr-defined]
    assert found["procurement"].point == pytest.approx(2 / 3)  # type: ignore[attr-defined]
    two_hours = 7200 * (Decimal("0.0009") - Decimal("0.0003"))
    assert found["procurement"].saved == two_hours  # type: ignore[attr-defined]


@pytest.mark.django_db
def test_what_was_committed_to_and_not_used_is_paid_too() -> None:
    """10 a day are committed; 2.16 of it was booked, on one day, for what costs 5 on demand."""
    reserve("0.0003")
    recorded(spend(1.5, 2, rate_kind="reserved"))
    adopt(ago(1.5).date(), a_day=10)
    found = measured()["procurement"]
    assert found.saved == Decimal(5) - 10  # type: ignore[attr-defined]
    assert found.evidence["committed_unused"] == "7.840000000000000000"  # type: ignore[attr-defined]


@pytest.mark.django_db
def test_of_today_only_what_has_passed_is_committed() -> None:
    """25.92 a day are committed, and a slot was booked at it from midnight until now."""
    reserve("0.0003")
    moment = now()
    hours = (moment - midnight(moment)) / dt.timedelta(hours=1)
    recorded(spend(0, 0, rate_kind="reserved", started_at=midnight(moment), ended_at=moment))
    adopt(moment.date(), a_day=25.92)
    unused = measured()["procurement"].evidence["committed_unused"]  # type: ignore[attr-defined]
    assert Decimal(unused) < Decimal("0.02"), f"after {hours} hours"  # a minute's


def reserve(amount: str) -> None:
    with system_scope():
        resources_ensure()
        Rate.objects.create(
            resource_id="worker.gpu", kind="reserved", amount=Decimal(amount), valid_from=ago(100)
        )


def adopt(day: dt.date, *, a_day: float) -> None:
    """A plan whose purchases cost that much each day of the month of `day`."""
    days = calendar.monthrange(day.year, day.month)[1]
    offer = {"name": "a year", "serves": ["worker.gpu serve"], "months": 12, "capacity": 730}
    bought = {"month": 0, "offer": "a year", "units": 1, "until": 12, "cost": 12 * a_day * days}
    with system_scope():
        PurchasePlan.objects.create(
            id="plan_1", key="key_1", name="adopted", starts=day.replace(day=1), months=12,
            drafted={"case": {"offers": [offer]}}, result={"purchases": [bought]},
            in_force=True, adopted_at=ago(40),
        )  # fmt: skip


@pytest.mark.django_db
def test_levers_that_were_not_used_are_missing() -> None:
    assert measured() == {}
