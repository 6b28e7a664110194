"""Plugins change quotes: with a reason, for whom enabled them, never below the floor."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tenants.accounts.models import Tenant
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.models import Hold
from tenants.ledger.selectors import unbalanced
from tenants.partners.models import Health
from tenants.pricing import quote_adjusting
from tenants.pricing.models import ChargeLine, Quote
from tests.tenants.partners import adjusting
from tests.tenants.partners.releases import enabled, published
from tests.tenants.partners.trusted import trusted_released
from tests.tenants.pricing.floors_made import cost_measure
from tests.workers.engine.factories import completions
from tests.workers.jobs.factories import (
    actor_of,
    claimed,
    job_row,
    make_tenant,
    make_worker,
    messages_of,
    queued_job,
)
from tests.workers.jobs.money import TRAINED, charged, tokens_of, trained
from tests.workers.tasks.factories import BASE_ID, submit_fine_tune, upload
from workers.jobs.money import job_sell
from workers.jobs.moves import job_locked
from workers.jobs.outcomes import Made, job_finish
from workers.jobs.services import job_quote, job_submit
from workers.jobs.states import Kind

pytestmark = pytest.mark.django_db
SEES = '["data.quotes"]'
HOOK = """
import time
from decimal import Decimal
from plugins.sdk import QuoteAdjustment, hookimpl

@hookimpl
def quote_adjustment(quote):
    %s
"""
SURCHARGE = "return QuoteAdjustment(quote.amount / 4, quote.currency, 'Rush hour')"


@pytest.fixture
def discount(monkeypatch: pytest.MonkeyPatch) -> None:
    trusted_released(monkeypatch, "adjusting", "tests.tenants.partners.adjusting", ("data.quotes",))
    monkeypatch.setitem(adjusting.offer, "share", "-0.1")


def quoted(tenant: Tenant) -> Quote:
    spec = {"model": BASE_ID, "training_file_id": upload(tenant, completions(24))}
    with tenant_scope(tenant.id):
        return job_quote(actor=actor_of(tenant), kind=Kind.FINE_TUNE, spec=spec)


def test_a_discount_is_shown_held_and_charged(discount: None, tenant: Tenant) -> None:
    enabled(tenant.id, "adjusting")
    job = submit_fine_tune(tenant, validation=False)
    listed = 2 * tokens_of(tenant) * TRAINED
    with tenant_scope(tenant.id):
        quote = Quote.objects.get(pk=job.quote_id)
        assert Hold.objects.get().amount == quote.high_net == listed * Decimal("0.9")
    (told,) = quote.adjustments
    assert told["reason"] == "Ten per cent off in March"
    assert (told["plugin"], Decimal(told["share"])) == ("adjusting", Decimal("-0.1"))
    assert Decimal(told["amount"]) == listed * Decimal("-0.1")
    assert "Price -10.0% by adjusting: Ten per cent off in March" in messages_of(job.id)

    claim = claimed(make_worker())
    use = trained(job.id, 0, 10, int(listed / TRAINED) // 2)
    job_finish(lease=claim.lease, usage=[use], make=lambda _: Made())
    row = job_row(job.id)
    assert row.charged == use.quantity * TRAINED * Decimal("0.9")
    with system_scope():
        (line,) = ChargeLine.objects.filter(kind="adjustment")
        assert line.net == use.quantity * TRAINED * Decimal("-0.1")
        assert unbalanced() == []


def test_a_confined_surcharge_counts_for_whom_enabled_it(tmp_path: Path, tenant: Tenant) -> None:
    published(tmp_path, name="rush", code=HOOK % SURCHARGE, permissions=SEES)
    before = quoted(tenant)
    assert before.adjustments == []
    enabled(tenant.id, "rush")
    after = quoted(tenant)
    assert after.expected_net == before.expected_net * Decimal("1.25")
    assert after.adjustments[0]["reason"] == "Rush hour"


def test_a_broken_adjustment_leaves_the_quote_and_is_on_its_health(
    tmp_path: Path, tenant: Tenant
) -> None:
    published(tmp_path, name="broken", code=HOOK % "raise ValueError('no')", permissions=SEES)
    before = quoted(tenant)
    enabled(tenant.id, "broken")
    after = quoted(tenant)
    assert (after.adjustments, after.high_net) == ([], before.high_net)
    with system_scope():
        assert Health.objects.get().failures == {"raised": 1}


@pytest.mark.parametrize(
    "offer",
    [{"share": "-1.01"}, {"share": "1.01"}, {"currency": "EUR"}, {"reason": " "}, {"share": "0"}],
    ids=str,
)
def test_an_adjustment_that_cannot_be_charged_counts_for_nothing(
    discount: None, tenant: Tenant, offer: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(tenant.id, "adjusting")
    for name, value in offer.items():
        monkeypatch.setitem(adjusting.offer, name, value)
    assert quoted(tenant).adjustments == []


def test_who_takes_too_long_is_not_waited_for(
    tmp_path: Path, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quote_adjusting, "LIMIT_S", 0.5)
    published(tmp_path, name="slow", code=HOOK % "time.sleep(30)", permissions=SEES)
    enabled(tenant.id, "slow")
    began = time.monotonic()
    assert quoted(tenant).adjustments == []
    assert time.monotonic() - began < 10
    with system_scope():
        assert Health.objects.get().failures == {"timeout": 1}


def test_no_discount_goes_below_what_the_work_was_measured_to_cost(
    discount: None, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(tenant.id, "adjusting")
    cost_measure("3.6", base=BASE_ID)
    assert len(quoted(tenant).adjustments) == 1  # just at the floor
    monkeypatch.setitem(adjusting.offer, "share", "-0.11")
    refused = quoted(tenant)
    assert refused.adjustments == []
    monkeypatch.setitem(adjusting.offer, "share", "0.11")
    assert len(quoted(tenant).adjustments) == 1


def test_a_pipelines_discount_is_none_on_the_engines_work(tenant: Tenant) -> None:
    told = {"currency": "USD", "share": "-1"}
    parent = queued_job(tenant, kind=Kind.PIPELINE, quoted=told, currency="USD")
    child = queued_job(tenant, parent_id=parent.id, asked_by="train")
    with tenant_scope(tenant.id):
        job_sell(job_locked(child.id), [trained(child.id, 0, 10, 100)])
    assert charged(parent.id) == 100 * TRAINED


def test_a_plugin_does_not_change_what_another_partners_sells(tmp_path: Path) -> None:
    from tests.workers.tasks.test_pipeline import upload as upload_lines

    tenant = make_tenant()
    published(tmp_path)
    published(tmp_path, name="rush", code=HOOK % SURCHARGE, permissions=SEES)
    enabled(tenant.id)
    enabled(tenant.id, "rush")
    spec: dict[str, Any] = {"plugin": "counting", "pipeline": "count", "units": {"lines": 4}}
    spec["file_ids"] = [upload_lines(tenant, ["a"])]
    with tenant_scope(tenant.id):
        job = job_submit(actor=actor_of(tenant), kind=Kind.PIPELINE, spec=spec)
        assert Quote.objects.get(pk=job.quote_id).adjustments == []


@pytest.mark.parametrize("share", ["-1", "-0.333333333333333333", "1"])
def test_all_of_it_off_a_third_off_and_as_much_again_add_up(
    discount: None, tenant: Tenant, monkeypatch: pytest.MonkeyPatch, share: str
) -> None:
    monkeypatch.setitem(adjusting.offer, "share", share)
    enabled(tenant.id, "adjusting")
    job = submit_fine_tune(tenant, validation=False)
    claim = claimed(make_worker())
    job_finish(lease=claim.lease, usage=[trained(job.id, 0, 10, 100)], make=lambda _: Made())
    listed = 100 * TRAINED
    row = job_row(job.id)
    assert abs(row.charged - listed * (1 + Decimal(share))) < Decimal("1e-10")
    with system_scope():
        lines = ChargeLine.objects.all()
        assert sum(line.net for line in lines) == row.charged
        assert unbalanced() == []
        assert not Hold.objects.filter(state="open").exists()
