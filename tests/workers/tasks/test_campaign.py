"""A campaign as a job of the platform's tenant: quoted, run by a real child, cancelled, refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.errors import InvalidInput, PermissionDenied
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.market.campaigns.campaign import campaign_run
from tenants.market.campaigns.specs import CampaignSpec
from tests.tenants.market.factories import campaign
from tests.workers.jobs.factories import actor_of, job_row, make_tenant, make_worker
from tests.workers.tasks.factories import start, until
from workers.jobs.models import Job
from workers.jobs.services import job_cancel, job_quote, job_submit
from workers.jobs.states import Kind, State

pytestmark = pytest.mark.django_db

FEW = [{"name": "hold"}, {"name": "match", "parameters": {"premium": 0.1}}]


def submit(**changes: Any) -> Job:
    tenant = platform_tenant_ensure()
    with tenant_scope(tenant.id):
        spec = {"campaign": campaign(**changes)}
        return job_submit(actor=actor_of(tenant), kind=Kind.CAMPAIGN, spec=spec)


def test_a_campaign_runs_in_its_child_and_its_seed_gives_the_same_result() -> None:
    job = submit(policies=FEW, months=4)
    start(make_worker(), queue="pipeline.cpu").join()
    done = job_row(job.id)
    assert done.state == State.SUCCEEDED
    assert done.step == done.steps > 0
    again = campaign_run(CampaignSpec.read(job.spec["campaign"]))
    assert done.result["campaign"] == json.loads(json.dumps(again))


def test_the_history_is_written_down_when_it_is_submitted() -> None:
    given = campaign(policies=FEW)
    del given["market"]
    actor = actor_of(platform_tenant_ensure())
    with system_scope():
        job = job_submit(actor=actor, kind=Kind.CAMPAIGN, spec={"campaign": given})
    assert {one["model_class"] for one in job.spec["campaign"]["market"]["classes"]} >= {"frontier"}


def test_a_quote_says_how_long_it_takes_and_that_it_costs_nothing() -> None:
    tenant = platform_tenant_ensure()
    with tenant_scope(tenant.id):
        quote = job_quote(actor=actor_of(tenant), kind=Kind.CAMPAIGN, spec={"campaign": campaign()})
    assert quote.high_net == 0
    assert quote.seconds is not None
    low, expected, high = map(float, quote.seconds)
    assert 0 < low < expected < high


def test_one_that_runs_is_cancelled_between_two_simulations() -> None:
    job = submit(paths=20_000, months=120)
    running = start(make_worker(), queue="pipeline.cpu")
    until(lambda: running.supervision.position[:1] >= (2,), what="the second simulation")
    actor = actor_of(platform_tenant_ensure())
    with tenant_scope(job.tenant_id):
        job_cancel(actor=actor, job_id=job.id)
    running.join()
    assert job_row(job.id).state == State.CANCELLED


def test_customers_have_no_war_room() -> None:
    tenant = make_tenant()
    with tenant_scope(tenant.id), pytest.raises(PermissionDenied, match="platform's own staff"):
        job_submit(actor=actor_of(tenant), kind=Kind.CAMPAIGN, spec={"campaign": campaign()})


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"policies": [{"name": "bribe"}]}, "no policy 'bribe'"), ({"months": 0}, "months")],
)
def test_what_makes_no_sense_is_refused_before_it_is_queued(
    changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidInput, match=told):
        submit(**changes)
