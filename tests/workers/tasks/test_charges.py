"""Money under kill -9, with a real child and a real worker: work done again is cost, not price."""

from __future__ import annotations

import os
import signal
import threading

import psutil
import pytest
from django.db import connections

from tenants.costs.models import CostEntry
from tenants.costs.services import resources_ensure
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.selectors import holds_open, unbalanced, wallet_balance
from tenants.pricing.models import Charge, Quote
from tests.workers.jobs.factories import attempts_of, job_row, make_tenant
from tests.workers.tasks.factories import sold, submit_fine_tune, until
from workers.assets.models import BaseModel
from workers.jobs.models import Job
from workers.tasks.worker import WorkerProcess

pytestmark = pytest.mark.django_db


def child_pid() -> int:
    """The computing process of the one attempt under way."""
    for child in psutil.Process().children():
        if "workers.tasks.engine_child" in child.cmdline():
            return child.pid
    return 0


def _well_after_a_snapshot(step: int) -> bool:
    """The row's step may lag behind the snapshot at 50 that it already tells of."""
    return step > 50 and 10 <= step % 50 < 40


def test_what_kill_9_makes_us_repeat_costs_us_and_is_not_charged(base: BaseModel) -> None:
    with system_scope():
        resources_ensure()
    tenant = make_tenant()
    job = submit_fine_tune(tenant, rows=240, batch_size=2, epochs=4, snapshot_every_steps=50)
    process = WorkerProcess(name="w@test", queue_names=["train.cpu"], slots=1)

    def work() -> None:
        try:
            process.work("train.cpu")
        finally:
            connections.close_all()

    # given an attempt that is killed well after a snapshot
    first = threading.Thread(target=work)
    first.start()
    until(lambda: job_row(job.id).resume_from, what="a snapshot")
    until(lambda: _well_after_a_snapshot(job_row(job.id).step), what="steps after it")
    os.kill(until(child_pid, what="the child"), signal.SIGKILL)
    first.join(60)
    assert job_row(job.id).state == "queued"
    with system_scope():
        Job.objects.update(available_at="2000-01-01T00:00Z")
    # when another one takes over
    work()
    process.stop()

    # then each token was sold once, and charged as the quote said
    row = job_row(job.id)
    assert (row.state, row.attempts_made) == ("succeeded", 2)
    lost, won = attempts_of(job.id)
    assert 0 < won.from_step < lost.to_step
    with tenant_scope(tenant.id):
        quote = Quote.objects.get(pk=row.quote_id)
        charged = sum(charge.net for charge in Charge.objects.filter(subject_id=job.id))
        balance = wallet_balance(tenant_id=tenant.id, currency="USD")
        (line,) = quote.lines
        assert not holds_open(tenant_id=tenant.id).exists()
    assert sold(job.id) == row.result["trained_tokens"] == int(line["expected"])
    assert charged == row.charged == quote.expected_net
    assert balance.available.amount == 1000 - charged
    # and the work that was repeated is the platform's cost
    with system_scope():
        spent = CostEntry.objects.filter(job_id=job.id)
        retry = sum(entry.quantity for entry in spent.filter(purpose="retry"))
        assert unbalanced() == []
    assert retry > 0
