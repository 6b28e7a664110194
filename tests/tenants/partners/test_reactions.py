"""Reactions: plugins hear of ended jobs and recorded usage, and break nothing but themselves."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from plugins.sdk.contracts import JobFinished, UsageRecorded
from saas.handlers import HANDLERS
from tenants.accounts.models import Tenant
from tenants.kernel.clock import now
from tenants.kernel.outbox import Subscription, drain
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.partners.models import Health, Installation, Reaction
from tenants.partners.services.reactions import MOST_TRIES, reactions_call
from tenants.usage import telling
from tenants.usage.ingestion import NewUsage
from tenants.usage.models import UsageTold
from tenants.usage.services import usage_record
from tenants.usage.telling import usage_tell
from tests.tenants.partners import listening
from tests.tenants.partners.releases import enabled, published
from tests.tenants.partners.trusted import trusted_released
from tests.workers.jobs.factories import actor_of, job_row, make_tenant, queued_job
from workers.jobs.events import JobCancelled
from workers.jobs.services import job_cancel
from workers.jobs.states import State
from workers.tasks.tasks import plugins

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folders")]
HEARS = ("data.jobs", "data.usage")
METER = "slot.seconds"

# It has no way out: what it heard is seen in what it says when it refuses.
CONFINED = """
from plugins.sdk import PluginError, hookimpl

heard = []

@hookimpl
def job_finished(job):
    raise ValueError(f"{job.kind} {job.state}")

@hookimpl
def usage_recorded(usage):
    heard.append(f"{usage.key}={usage.quantity}")
    if usage.meter == "storage.gb_hours":
        raise PluginError(" ".join(heard))
"""


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> None:
    trusted_released(monkeypatch, "listening", "tests.tenants.partners.listening", HEARS)
    listening.heard.clear()


def job_end(tenant: Tenant) -> str:
    """A job that its customer cancels, and the relay's delivery of that."""
    job = queued_job(tenant)
    with tenant_scope(tenant.id):
        job_cancel(actor=actor_of(tenant), job_id=job.id)
    relay()
    return str(job.id)


def relay() -> None:
    told = [s for s in HANDLERS[JobCancelled] if s.name.startswith("plugins.")]
    drain({JobCancelled: [Subscription(each.name, each.handle) for each in told]})


def use(tenant: Tenant, key: str, quantity: int = 1, meter: str = METER) -> None:
    dimensions = {"job_id": "job_1"} if meter == METER else {}
    event = NewUsage(meter, Decimal(quantity), now(), "external:test", key, dimensions)
    with tenant_scope(tenant.id):
        usage_record(tenant_id=tenant.id, events=[event])


def hush(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """No broker here: how often a message would have been sent."""
    sent: list[int] = []
    monkeypatch.setattr("saas.handlers.plugins_send", lambda: sent.append(1))
    return sent


def due_now() -> None:
    with system_scope():
        Reaction.objects.update(due_at="2000-01-01T00:00Z")


def test_a_plugin_hears_once_of_a_job_of_the_tenant_that_enabled_it(
    listener: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = hush(monkeypatch)
    tenant, other = make_tenant(), make_tenant()
    enabled(tenant.id, "listening")
    job_id = job_end(tenant)
    job_end(other)
    assert sent == [1]
    assert listening.heard == []  # after the relay's transaction, never inside
    plugins()  # the periodic task
    assert reactions_call() == 0
    assert listening.heard == [JobFinished(job_id, "fine_tune", "cancelled")]


def test_a_plugin_that_breaks_costs_its_health_and_not_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hush(monkeypatch)
    published(tmp_path, name="confined", code=CONFINED, permissions=str(list(HEARS)))
    tenant = make_tenant()
    enabled(tenant.id, "confined")
    job_id = job_end(tenant)
    assert reactions_call() == 1
    assert job_row(job_id).state == State.CANCELLED
    with system_scope():
        health = Health.objects.get()
        assert health.last_failure == "raised: ValueError: fine_tune cancelled"
        row = Reaction.objects.get()
        assert row.tries == 1
        assert row.due_at > now() + dt.timedelta(seconds=60)
        Reaction.objects.update(tries=MOST_TRIES - 1)
    due_now()
    assert reactions_call() == 1  # for the last time
    with system_scope():
        assert not Reaction.objects.exists()
        assert Health.objects.get().failures == {"raised": 2}


def test_what_was_disabled_or_never_granted_is_not_told(
    tmp_path: Path, listener: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hush(monkeypatch)
    tenant = make_tenant()
    row = enabled(tenant.id, "listening")
    with system_scope():
        Installation.objects.filter(pk=row.pk).update(permissions=["data.usage"])
    job_end(tenant)
    assert reactions_call() == 1
    with system_scope():
        assert not Reaction.objects.exists()
        Installation.objects.filter(pk=row.pk).update(permissions=list(HEARS))
    job_end(tenant)
    with system_scope():
        Installation.objects.filter(pk=row.pk).update(removed_at="2026-01-01T00:00Z")
    assert reactions_call() == 1
    assert listening.heard == []


def test_usage_is_told_in_order_from_enabling_on_each_event_once(listener: None) -> None:
    tenant, other = make_tenant(), make_tenant()
    use(tenant, "before")
    enabled(tenant.id, "listening")
    assert usage_tell(until=now()) == 0
    for number in range(3):
        use(tenant, f"k{number}", number + 1)
    use(other, "theirs")
    assert usage_tell() == 0  # not settled yet
    assert usage_tell(until=now()) == 3
    use(tenant, "late")
    assert usage_tell(until=now()) == 1
    assert usage_tell(until=now()) == 0
    assert listening.heard == [
        UsageRecorded("k0", METER, Decimal(1)),
        UsageRecorded("k1", METER, Decimal(2)),
        UsageRecorded("k2", METER, Decimal(3)),
        UsageRecorded("late", METER, Decimal(1)),
    ]


def test_usage_is_told_in_turns_where_one_plugin_takes_all_the_time(
    listener: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SimpleNamespace(monotonic=lambda: 10.0 * len(listening.heard))  # a round an event
    monkeypatch.setattr(telling, "time", slow)
    first, second = make_tenant(), make_tenant()
    for tenant in (first, second):
        enabled(tenant.id, "listening")
    assert usage_tell(until=now()) == 0
    for number in range(3):
        use(first, f"first{number}")
    use(second, "second")
    for _ in range(4):
        assert usage_tell(until=now()) == 1
    assert [each.key for each in listening.heard if isinstance(each, UsageRecorded)] == [
        "first0",
        "second",
        "first1",
        "first2",
    ]


def test_confined_it_hears_of_usage_and_what_it_cannot_be_told_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(tmp_path, name="confined", code=CONFINED, permissions=str(list(HEARS)))
    tenant = make_tenant()
    enabled(tenant.id, "confined")
    use(tenant, "a", 7)
    use(tenant, "b", 2, meter="storage.gb_hours")
    assert usage_tell(until=now()) == 2
    with system_scope():
        assert Health.objects.get().last_failure == "refused: a=7 b=2"
    use(tenant, "c")
    from tenants.partners.host import ground

    monkeypatch.setattr(ground().breaker, "allows", lambda _: False)
    assert usage_tell(until=now()) == 0
    monkeypatch.undo()
    with system_scope():
        assert UsageTold.objects.get().due_at > now()
        UsageTold.objects.update(due_at="2000-01-01T00:00Z")
    assert usage_tell(until=now()) == 1
