"""The allocation rule: nothing lost, and no unit pays for capacity that nobody uses."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.costs.allocation import Overhead, Spent, Terms, Who, allocate, sum_exact
from tenants.costs.balance import Stretch, slot_balance
from tenants.kernel.errors import InvalidInput
from tests.tenants.costs.factories import NOON, after

A = Who("ten_a", "fine_tune", "mini", "lora")
B = Who("ten_b", "serve", "mini")


def spent(start: float, end: float, who: Who | None = None, **changes: Any) -> Spent:
    """Seconds [start, end) after NOON at a cent a second: a job's, or idle without `who`."""
    purpose = changes.pop("purpose", "job" if who else "idle")
    rate = Decimal(changes.pop("rate", "0.01"))
    start_at, end_at = after(start), after(end)
    seconds = Decimal((end_at - start_at) // dt.timedelta(microseconds=1)).scaleb(-6)
    fields: dict[str, Any] = {"pool": "worker.gpu", "worker": "w1"} | changes
    return Spent(
        purpose=purpose, started_at=start_at, ended_at=end_at, amount=seconds * rate,
        who=who or Who(), **fields,
    )  # fmt: skip


def test_idle_up_to_the_plan_is_the_works_and_beyond_it_the_companys() -> None:
    """70 s of work at 70% planned carry 30 s of waiting; the other 100 s are strategic."""
    found = allocate([spent(0, 70, A), spent(70, 200)], Terms())
    assert found.shares == {(A, "direct"): Decimal("0.7"), (A, "idle"): Decimal("0.3")}
    assert found.strategic == {"worker.gpu": Decimal(1)}
    assert found.total == Decimal(2)


def test_a_pool_busier_than_planned_shares_the_idle_time_it_has() -> None:
    found = allocate([spent(0, 95, A), spent(95, 100)], Terms())
    assert found.shares[A, "idle"] == Decimal("0.05")
    assert found.strategic_idle == 0


def test_idle_time_of_a_pool_without_work_is_strategic() -> None:
    found = allocate([spent(0, 100), spent(0, 10, purpose="startup")], Terms())
    assert (found.allocated, found.strategic_idle) == (0, Decimal("1.1"))


def test_a_reserved_worker_waits_for_its_reserver() -> None:
    found = allocate([spent(0, 60, A), spent(60, 100)], Terms(reserved={"w1": "ten_r"}))
    assert found.shares[Who("ten_r"), "reserved"] == Decimal("0.4")
    assert found.strategic_idle == 0


def test_retries_go_to_who_caused_them() -> None:
    entries = [
        spent(0, 10, A, purpose="retry"),
        spent(10, 15, A, purpose="retry", caused_by_tenant=True),
    ]
    found = allocate(entries, Terms())
    assert found.shares == {(A.work, "retry"): Decimal("0.1"), (A, "retry"): Decimal("0.05")}


def test_committed_capacity_is_shared_at_its_peak() -> None:
    """Both worked an hour in all, but B three times as much in the hour that was fullest."""
    entries = [
        spent(0, 900, A, worker="w1"),
        spent(0, 2700, B, worker="w2"),
        spent(3600, 6300, A, worker="w1"),
        spent(3600, 4500, B, worker="w2"),
        spent(100, 101, B, worker="w3"),  # makes the first hour the fuller
        spent(2700, 3600),
    ]
    by_use = allocate(entries, Terms())
    at_peak = allocate(entries, Terms(committed=frozenset({"worker.gpu"})))
    assert at_peak.shares[B, "idle"] / at_peak.shares[A, "idle"] == pytest.approx(
        Decimal(2701) / 900
    )
    assert by_use.shares[B, "idle"] / by_use.shares[A, "idle"] == pytest.approx(
        Decimal(3601) / 3600
    )
    assert at_peak.strategic == by_use.strategic


def test_overhead_is_absorbed_at_planned_volume() -> None:
    office = Overhead("office", Decimal(100), "seconds", planned=Decimal(200))
    half = allocate([spent(0, 75, A), spent(0, 25, B)], Terms(overheads=[office]))
    assert half.shares[A, "overhead"] == Decimal("37.5")
    assert half.shares[B, "overhead"] == Decimal("12.5")
    assert half.strategic["office"] == 50
    twice = allocate([spent(0, 400, A)], Terms(overheads=[office]))
    assert (twice.shares[A, "overhead"], twice.strategic["office"]) == (100, 0)
    by_cost = Overhead("support", Decimal(9), "direct", planned=Decimal(1))
    costed = allocate([spent(0, 50, A)], Terms(overheads=[by_cost]))
    assert costed.shares[A, "overhead"] == Decimal("4.5")


@pytest.mark.parametrize("utilisation", ["0", "-0.1", "1.01"])
def test_a_planned_utilisation_that_is_no_share_is_refused(utilisation: str) -> None:
    with pytest.raises(InvalidInput, match="planned utilisation"):
        Terms(planned_utilisation=Decimal(utilisation))


def test_an_overhead_below_nothing_or_without_a_plan_is_refused() -> None:
    with pytest.raises(InvalidInput, match="below 0"):
        Overhead("x", Decimal(-1), "seconds", Decimal(1))
    with pytest.raises(InvalidInput, match="plan a volume"):
        Overhead("x", Decimal(1), "seconds", Decimal(0))


whos = st.sampled_from([A, B, Who("ten_a", "serve", "mini"), Who("ten_c", "compress", "big", "q4")])
stretches = st.builds(
    lambda start, length, who, purpose, pool, rate, tenant: spent(
        start / 10**6,
        (start + length) / 10**6,
        who if purpose in {"job", "retry"} else None,
        purpose=purpose,
        pool=pool,
        worker=f"w{pool}",
        rate=rate,
        caused_by_tenant=tenant,
    ),
    st.integers(0, 10**11),
    st.integers(1, 10**10),
    whos,
    st.sampled_from(["job", "retry", "idle", "startup"]),
    st.sampled_from(["a", "b"]),
    st.integers(1, 10**13).map(lambda pico: Decimal(pico).scaleb(-12)),
    st.booleans(),
)


@given(
    entries=st.lists(stretches, max_size=12),
    utilisation=st.decimals(min_value="0.01", max_value=1, places=2),
    committed=st.sets(st.sampled_from(["a", "b"])),
    planned=st.decimals(min_value="0.001", max_value=10**6, places=3),
)
def test_allocated_and_strategic_make_the_total_to_the_last_digit(
    entries: list[Spent], utilisation: Decimal, committed: set[str], planned: Decimal
) -> None:
    terms = Terms(
        planned_utilisation=utilisation,
        committed=frozenset(committed),
        reserved={"wb": "ten_r"},
        overheads=[Overhead("o", Decimal("12.345"), "direct", planned)],
    )
    found = allocate(entries, terms)
    spent_in_all = sum((Fraction(e.amount) for e in entries), Fraction(0)) + Fraction("12.345")
    assert Fraction(found.total) == spent_in_all
    assert Fraction(found.allocated) + Fraction(found.strategic_idle) == spent_in_all
    assert all(amount >= 0 for amount in found.shares.values())
    assert all(amount >= 0 for amount in found.strategic.values())


def month(*, jobs: int, tenants: int, workers: int, seed: int = 9) -> list[Spent]:
    """30 days of `workers` slots, each busy with jobs of random length in random order."""
    generator = random.Random(seed)
    length = 30 * 86400 * 10**6
    per_worker = jobs // workers
    entries = []
    for worker in range(workers):
        marks = sorted(generator.sample(range(1, length), 2 * per_worker))
        reached = 0
        for start, end in zip(marks[::2], marks[1::2], strict=True):
            purpose = "retry" if generator.random() < 0.02 else "job"
            kind, base = generator.choice(
                [("fine_tune", "mini"), ("serve", "mini"), ("serve", "b")]
            )
            who = Who(f"ten_{generator.randrange(tenants)}", kind, base)
            place = {"worker": f"w{worker}", "pool": f"pool{worker % 3}", "rate": "0.000694444444"}
            entries.append(spent(reached / 10**6, start / 10**6, **place))
            entries.append(spent(start / 10**6, end / 10**6, who, purpose=purpose, **place))
            reached = end
        entries.append(spent(reached / 10**6, length / 10**6, **place))
    return entries


def test_a_month_of_a_thousand_tenants_is_conserved() -> None:
    entries = month(jobs=100_000, tenants=1000, workers=50)
    assert sum(entry.purpose in {"job", "retry"} for entry in entries) == 100_000
    for worker in ("w0", "w49"):
        laid = [Stretch(e.started_at, e.ended_at, e.purpose) for e in entries if e.worker == worker]
        balance = slot_balance(worker, 0, laid, NOON, NOON + dt.timedelta(days=30))
        assert (balance.error, balance.accounted) == (0, 30 * 86400)
    terms = Terms(
        committed=frozenset({"pool0"}),
        reserved={"w1": "ten_1"},
        overheads=[Overhead("people", Decimal("20000.01"), "seconds", Decimal(10**8))],
    )
    found = allocate(entries, terms)
    paid = sum_exact([e.amount for e in entries]) + Decimal("20000.01")
    assert found.total == paid
    assert found.allocated + found.strategic_idle == paid
    assert len({who.tenant_id for who, _ in found.shares} - {""}) == 1000


def test_half_the_volume_leaves_unit_costs_and_raises_strategic_idle() -> None:
    """The same workers and clock; every second job is idle time instead."""
    office = Overhead("office", Decimal(1000), "seconds", planned=Decimal(10**9))
    full = [spent(n * 10, n * 10 + 5, A) for n in range(100)]
    waiting = [spent(n * 10 + 5, n * 10 + 10) for n in range(100)]
    half = [e if n % 2 else spent(n * 10, n * 10 + 5) for n, e in enumerate(full)]
    before = allocate([*full, *waiting], Terms(overheads=[office]))
    after_ = allocate([*half, *waiting], Terms(overheads=[office]))
    assert before.total == after_.total
    assert after_.allocated * 2 == pytest.approx(before.allocated, rel=Decimal("1e-15"))
    assert after_.strategic_idle > before.strategic_idle
