"""Plugins asked all at once: those that hang, and wheels that are lost, harm nobody else."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from plugins.sdk.contracts import JobFinished, Quote
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.partners import calls, host, wheels
from tenants.partners.calls import hooks_ask, hooks_call
from tenants.partners.models import Reaction, Release
from tenants.partners.services.reactions import MOST_TRIES, reaction_note, reactions_call
from tests.tenants.partners import adjusting
from tests.tenants.partners.releases import enabled, published
from tests.tenants.partners.trusted import trusted_released
from tests.workers.jobs.factories import make_tenant

pytestmark = pytest.mark.django_db
QUOTE = {"quote": Quote("fine_tune", Decimal(10), "USD")}
HEARS = """
from plugins.sdk import hookimpl

@hookimpl
def job_finished(job):
    pass
"""


@pytest.fixture
def wheel_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tenant's enabled plugin whose wheel the storage lost before this process unpacked it."""
    from django.core.files.storage import default_storage

    published(tmp_path, name="lost", code=HEARS, permissions='["data.jobs"]')
    tenant = make_tenant()
    enabled(tenant.id, "lost")
    with system_scope():
        row = Release.objects.get(plugin="lost")
    default_storage.delete(row.wheel_key)
    shutil.rmtree(wheels.plugins_folder() / "sites" / row.wheel_sha256)
    monkeypatch.setattr(host, "_HOSTS", {})
    return str(tenant.id)


def test_who_waits_behind_plugins_that_hang_has_not_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trusted_released(monkeypatch, "adjusting", "tests.tenants.partners.adjusting", ("data.quotes",))
    tenant = make_tenant()
    enabled(tenant.id, "adjusting")
    hang = threading.Event()
    with ThreadPoolExecutor(1) as places:
        monkeypatch.setattr(calls, "_threads", lambda: places)
        places.submit(hang.wait)
        try:
            with tenant_scope(tenant.id):
                (outcome,) = hooks_ask(tenant.id, "quote_adjustment", QUOTE, limit_s=0.05)
        finally:
            hang.set()
        assert outcome.failure is not None
        assert outcome.failure.kind == "unavailable"  # nothing that is held against a plugin
        asked = []
        monkeypatch.setattr(adjusting, "Decimal", asked.append)
        places.submit(lambda: None).result()
        assert asked == []  # nor is it asked later, when nobody waits for the answer


def test_a_lost_wheel_is_its_plugins_outcome_and_nobodys_error(wheel_lost: str) -> None:
    job = {"job": JobFinished("job_1", "fine_tune", "failed")}
    (outcome,) = hooks_call(wheel_lost, "job_finished", job)
    assert outcome.failure is not None
    assert outcome.failure.kind == "unavailable"
    assert "its wheel cannot be read" in outcome.failure.message
    with tenant_scope(wheel_lost):
        (asked,) = hooks_ask(wheel_lost, "job_finished", job, limit_s=1.0)
    assert asked.failure == outcome.failure


def test_a_reaction_that_no_wheel_can_hear_waits_and_holds_up_no_other(wheel_lost: str) -> None:
    job = {"job": JobFinished("job_1", "fine_tune", "failed")}
    with system_scope():
        assert reaction_note(tenant_id=wheel_lost, hook="job_finished", key="1", args=job) == 1
        assert reaction_note(tenant_id=wheel_lost, hook="job_finished", key="2", args=job) == 1
    assert reactions_call() == 2
    with system_scope():
        assert set(Reaction.objects.values_list("tries", flat=True)) == {1}


def test_a_reaction_in_which_our_process_ends_each_time_is_given_up(wheel_lost: str) -> None:
    job = {"job": JobFinished("job_1", "fine_tune", "failed")}
    with system_scope():
        reaction_note(tenant_id=wheel_lost, hook="job_finished", key="1", args=job)
        Reaction.objects.update(tries=MOST_TRIES)  # killed in each of them: it was never told
    assert reactions_call() == 0
    with system_scope():
        assert not Reaction.objects.exists()
