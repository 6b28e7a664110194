"""The heart: leases live as long as they are deserved, and no longer."""

from __future__ import annotations

import time

import pytest
from django.db import connections

from tenants.kernel.errors import FencedOut
from tenants.kernel.scope import system_scope
from tests.workers.jobs.factories import (
    attempts_of,
    claimed,
    job_row,
    make_tenant,
    make_worker,
    messages_of,
    queued_job,
)
from tests.workers.tasks.factories import until
from workers.jobs.leases import Line, Orders, Standing, renew
from workers.jobs.models import Attempt, Job
from workers.jobs.reaper import leases_reap
from workers.jobs.states import State
from workers.tasks.heart import Heart, Voice

pytestmark = pytest.mark.django_db

LEASE_S = 1.5


def heart(*, deserves: bool = True) -> Heart:
    queued_job(make_tenant())
    asked_at = time.monotonic()
    lease = claimed(make_worker(), lease_s=LEASE_S).lease
    found = Heart(
        renew=lambda lease_s: {lease.attempt_id: renew(lease=lease, lease_s=lease_s)},
        lease_s=LEASE_S,
        claimed_at=asked_at,
        deserves_lease=lambda: deserves,
    )
    found.join(Voice(lease))
    return found


def job_of(beating: Heart) -> str:
    return beating.voices[0].lease.job_id


def test_a_lease_is_renewed_before_it_runs_out() -> None:
    with heart() as beating:
        (attempt,) = attempts_of(job_of(beating))
        for _ in range(3):
            before = beating.lease_until()
            until(lambda before=before: beating.lease_until() > before, timeout=5, what="a renewal")
        assert not beating.is_lost
        assert leases_reap() == 0
        assert attempts_of(job_of(beating))[0].lease_expires_at > attempt.lease_expires_at


def test_the_local_view_never_outlasts_the_databases() -> None:
    with heart() as beating:
        first = beating.lease_until()
        until(lambda: beating.lease_until() > first, timeout=5, what="a renewal")
        local = beating.lease_until() - time.monotonic()
        with system_scope():
            with connections["system"].cursor() as cursor:
                cursor.execute(
                    "SELECT extract(epoch FROM lease_expires_at - clock_timestamp()) FROM attempt"
                )
                in_database = float(cursor.fetchone()[0])
        assert local <= in_database + 0.05


def test_an_attempt_that_hangs_loses_its_lease_though_its_worker_lives() -> None:
    with heart(deserves=False) as beating:
        until(lambda: beating.is_lost, timeout=10, what="the lease's end")
        until(leases_reap, timeout=10, what="the reaper")
        assert job_row(job_of(beating)).state == State.QUEUED


def test_once_taken_over_the_heart_says_so_at_once() -> None:
    with heart() as beating:
        with system_scope():
            Job.objects.update(token=99)
        until(lambda: beating.fenced_out, timeout=10, what="the fence")
        assert beating.is_lost
        beating.voices[0].says(Line("too late"))
        with pytest.raises(FencedOut):
            beating.voices[0].flush()


def test_orders_arrive() -> None:
    with heart() as beating:
        with system_scope():
            Job.objects.update(state=State.CANCELLING)
        until(lambda: beating.voices[0].orders is Orders.CANCEL, timeout=10, what="the order")


def test_what_is_said_is_stored_once_in_order_however_often_it_is_flushed() -> None:
    with heart() as beating:
        for number in range(20):
            beating.voices[0].says(Line(f"line {number}"))
            beating.voices[0].flush()
        beating.voices[0].stands(Standing(step=4, steps=9))
        beating.voices[0].flush()
        beating.voices[0].flush()
        job_id = job_of(beating)
    assert messages_of(job_id) == [f"line {number}" for number in range(20)]
    assert (job_row(job_id).step, job_row(job_id).steps) == (4, 9)
    with system_scope():
        assert Attempt.objects.get(job_id=job_id).to_step == 4
