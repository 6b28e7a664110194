"""What a job, a slot and a million tokens cost."""

from __future__ import annotations

import itertools
import random
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenants.costs.selectors import (
    cost_totals,
    job_cost,
    job_cost_breakdown,
    job_cost_per_million_tokens,
    slots_balance,
    unit_cost_per_million_tokens,
    unit_costs,
)
from tenants.costs.services import slot_time_record
from tenants.costs.slot_time import SlotTime
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.usage.ingestion import NewUsage
from tenants.usage.services import usage_record
from tests.tenants.costs.factories import after, resource_make, slot_time
from tests.tenants.usage.factories import tenant_make, usage

pytestmark = pytest.mark.django_db


def record(*entries: SlotTime) -> None:
    with system_scope():
        slot_time_record(entries=entries)


def dollars(amount: str | int) -> Money:
    return Money.of(amount, "USD")


def test_a_job_costs_all_its_attempts_with_repeated_work_apart() -> None:
    resource, job = resource_make((after(-100), "0.5")), new_id("ftjob-")
    record(
        slot_time(0, 10, resource=resource, job_id=job, attempt=1),
        slot_time(10, 14, resource=resource, job_id=job, attempt=2, purpose="retry"),
        slot_time(14, 20, resource=resource, job_id=job, attempt=2),
        slot_time(0, 99, resource=resource, job_id=new_id("ftjob-")),
    )
    with system_scope():
        cost = job_cost_breakdown(job)
        assert job_cost(job) == cost.total == dollars(10)
    assert (cost.retry, cost.seconds) == (dollars(2), 20)
    assert [(a.attempt, a.job, a.retry, a.seconds) for a in cost.attempts] == [
        (1, dollars(5), dollars(0), 10),
        (2, dollars(3), dollars(2), 10),
    ]


def test_a_job_without_entries_costs_nothing() -> None:
    with system_scope():
        cost = job_cost_breakdown("ftjob-none")
    assert (cost.total, cost.attempts) == (dollars(0), ())


def test_totals_by_purpose_and_tenant_are_all_that_there_is() -> None:
    resource = resource_make((after(-100), "1"))
    record(
        slot_time(0, 1, resource=resource, purpose="startup"),
        slot_time(1, 5, resource=resource, purpose="idle"),
        slot_time(5, 7, resource=resource, tenant_id="ten_1"),
        slot_time(7, 10, resource=resource, tenant_id="ten_2"),
    )
    with system_scope():
        found = cost_totals(group_by=["resource", "purpose", "tenant"])
        by_tenant = cost_totals(group_by=["resource"], tenant_id="ten_2")
    mine = {t.group[1:]: t.cost.amount for t in found if t.group[0] == resource}
    assert mine == {("startup", ""): 1, ("idle", ""): 4, ("job", "ten_1"): 2, ("job", "ten_2"): 3}
    assert [t.cost for t in by_tenant if t.group == (resource,)] == [dollars(3)]


def test_totals_take_what_started_in_the_window() -> None:
    resource = resource_make((after(-100), "1"))
    record(*(slot_time(n, n + 1, resource=resource) for n in range(10)))
    with system_scope():
        found = cost_totals(group_by=["resource"], since=after(2), until=after(5))
    assert [(t.seconds, t.entries) for t in found if t.group == (resource,)] == [(3, 3)]


def test_a_workers_slots_are_laid_on_the_clock() -> None:
    resource, worker = resource_make((after(-100), "1")), new_id("wrk_")
    record(
        slot_time(0, 4, resource=resource, worker=worker, purpose="startup"),
        slot_time(4, 10, resource=resource, worker=worker),
        slot_time(0, 7, resource=resource, worker=worker, slot=1, purpose="idle"),
        slot_time(0, 99, resource=resource, worker=new_id("wrk_")),
    )
    with system_scope():
        first, second, third = slots_balance(worker, after(0), after(10), slots=3)
    assert first.by_purpose == {"startup": 4, "job": 6}
    assert (first.missing, first.doubled) == (0, 0)
    assert (second.missing, second.error) == (3, Decimal("0.3"))
    assert (third.slot, third.missing) == (2, 10)


cuts = st.lists(st.integers(1, 10**9), min_size=1, max_size=12, unique=True)


@given(marks=cuts, batch=st.integers(1, 5), order=st.randoms(use_true_random=False))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_jobs_cost_is_the_same_however_its_time_is_cut_ordered_batched_and_repeated(
    marks: list[int], batch: int, order: random.Random
) -> None:
    resource = resource_make((after(-100), "0.000011805556"), (after(400), "0.000694444444"))
    edges = [0.0, *(mark / 10**6 for mark in sorted(marks))]
    whole, cut = new_id("ftjob-"), new_id("ftjob-")
    record(slot_time(0, edges[-1], resource=resource, job_id=whole))
    pieces = [
        slot_time(start, end, resource=resource, job_id=cut)
        for start, end in itertools.pairwise(edges)
    ]
    again = [*pieces, *pieces]
    order.shuffle(again)
    for start in range(0, len(again), batch):
        record(*again[start : start + batch])
    with system_scope():
        assert job_cost(cut) == job_cost(whole)


def trained(job_id: str, tokens: int, base: str) -> NewUsage:
    return usage(f"{job_id}:0", tokens, meter="tokens.trained", job_id=job_id, base=base)


def test_the_cost_of_a_million_trained_tokens() -> None:
    tenant_id, base = tenant_make(), new_id("base-")
    resource, jobs = resource_make((after(-100), "0.01")), [new_id("ftjob-"), new_id("ftjob-")]
    labels = {"kind": "fine_tune", "base": base}
    with system_scope():
        slot_time_record(
            entries=[
                slot_time(0, 100, resource=resource, job_id=jobs[0], labels=labels),
                slot_time(0, 300, resource=resource, job_id=jobs[1], labels=labels),
                slot_time(0, 999, resource=resource, labels={**labels, "base": "other"}),
            ]
        )
        usage_record(
            tenant_id=tenant_id,
            events=[trained(jobs[0], 500_000, base), trained(jobs[1], 1_500_000, base)],
        )
        one = job_cost_per_million_tokens(jobs[0])
        every = unit_cost_per_million_tokens(kind="fine_tune", base=base)
        chosen = unit_cost_per_million_tokens(kind="fine_tune", base=base, job_ids=jobs[1:])
    assert (one.cost, one.tokens, one.per_million) == (dollars(1), 500_000, dollars(2))
    assert (every.cost, every.per_million) == (dollars(4), dollars(2))
    assert (chosen.cost, chosen.tokens) == (dollars(3), 1_500_000)


def test_the_cost_of_a_million_served_tokens_includes_the_replicas_waiting() -> None:
    tenant_id, base = tenant_make(), new_id("base-")
    resource, replica = resource_make((after(-100), "0.01")), new_id("servejob_")
    labels = {"kind": "serve", "base": base}
    with system_scope():
        slot_time_record(
            entries=[slot_time(0, 600, resource=resource, job_id=replica, labels=labels)]
        )
        usage_record(
            tenant_id=tenant_id,
            events=[
                usage("a", 1_000_000, base=base, model=base),
                usage("b", 500_000, meter="tokens.output", base=base, model="ft:tuned"),
                usage("c", 500_000, meter="tokens.cached", base=base, model="ft:tuned"),
                usage("d", 9_000_000, base="other"),
                usage("e", 1, meter="requests", base=base, endpoint="completions"),
            ],
        )
        found = unit_cost_per_million_tokens(kind="serve", base=base)
        every = unit_costs()
    assert (found.cost, found.tokens, found.per_million) == (dollars(6), 2_000_000, dollars(3))
    assert [row for row in every if row[1] == base] == [("serve", base, found)]


def test_no_tokens_have_no_unit_cost() -> None:
    with system_scope():
        found = unit_cost_per_million_tokens(kind="serve", base="nothing")
    assert (found.cost, found.tokens, found.per_million) == (dollars(0), 0, None)
