"""A campaign as a job of the platform's tenant: quoted, run by a real child, cancelled, refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plugins.kit.building import wheel_build
from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.errors import InvalidInput, PermissionDenied
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.market.campaigns.campaign import MOST_PARTNERS, campaign_run
from tenants.market.campaigns.specs import CampaignSpec
from tenants.partners.models import Health
from tenants.partners.services import plugin_disable
from tests.architecture.sources import ROOT
from tests.tenants.market.factories import campaign
from tests.tenants.partners.releases import enabled, published, published_wheel
from tests.workers.jobs.factories import actor_of, job_row, make_tenant, make_worker
from tests.workers.tasks.factories import start, until
from workers.jobs.models import Job
from workers.jobs.services import job_cancel, job_quote, job_submit
from workers.jobs.states import Kind, State

pytestmark = pytest.mark.django_db

PRICING = """
import os
from decimal import Decimal
from plugins.sdk import CampaignPolicy, hookimpl

@hookimpl
def campaign_policies():
    names = ("steady", "raises", "nan", "short", "negative", "exits")
    return tuple(CampaignPolicy(name, name) for name in names)

@hookimpl
def campaign_prices(policy, campaign):
    if policy == "raises" and campaign.step == 2 or policy.startswith("shy"):
        raise ValueError("no idea")
    if policy == "nan":
        return (Decimal("NaN"),) * len(campaign.own_prices)
    if policy == "short":
        return campaign.own_prices[:1]
    if policy == "negative":
        return tuple(-price for price in campaign.own_prices)
    if policy == "exits":
        os._exit(3)
    return campaign.own_prices
"""
SHY = [f"shy_{number}" for number in range(MOST_PARTNERS - 1)]
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


def test_an_examples_policy_is_rehearsed_beside_ours_and_named(tmp_path: Path) -> None:
    """The real wheel, installed and confined as a partner's; the same seed, the same result."""
    published_wheel(
        wheel_build(ROOT / "plugins" / "examples" / "finance_risk", tmp_path),
        None, "finance_risk", "1.2.0",
    )  # fmt: skip
    enabled(platform_tenant_ensure().id, "finance_risk")
    name = "plugin.finance_risk.follow_slowly"
    jobs = [submit(policies=[*FEW, {"name": name}], months=4) for _ in range(2)]
    for _ in jobs:
        start(make_worker(), queue="pipeline.cpu").join()
    first, again = (job_row(job.id) for job in jobs)
    assert first.state == State.SUCCEEDED, first.error
    assert first.spec["plugins"][0]["version"] == "1.2.0"
    result = first.result["campaign"]
    assert result["failed"] == []
    row = next(one for one in result["policies"] if one["policy"] == name)
    assert row["plugin"] == "finance_risk 1.2.0"
    median = row["by_month"]["price"]["median"]
    assert median == sorted(median, reverse=True)
    assert median[-1] < median[0] < campaign()["own"]["price"]
    assert again.result == first.result
    with system_scope():
        assert Health.objects.get(release__plugin="finance_risk").calls >= 8


def test_a_policy_that_fails_ends_itself_and_the_campaign_succeeds(tmp_path: Path) -> None:
    published(tmp_path, name="pricing", code=PRICING)
    enabled(platform_tenant_ensure().id, "pricing")
    names = [f"plugin.pricing.{name}" for name in
             ("steady", "raises", "nan", "short", "negative", "exits")]  # fmt: skip
    job = submit(policies=[*FEW, *({"name": name} for name in names)], months=4)
    start(make_worker(), queue="pipeline.cpu").join()
    done = job_row(job.id)
    assert done.state == State.SUCCEEDED, done.error
    result = done.result["campaign"]
    assert [row["policy"] for row in result["policies"]] == ["hold", "match", names[0]]
    reasons = {row["policy"].rsplit(".")[-1]: row["reason"] for row in result["failed"]}
    assert {name: told in reasons[name] for name, told in (
        ("raises", "month 2: raised: ValueError: no idea"),
        ("nan", "month 0: contract: campaign_prices[0]: expected Decimal, got 'NaN'"),
        ("short", "1 prices for 200 paths"),
        ("negative", "price is -2.5 in segment 0, path 0"),
        ("exits", "crashed: its process ended during the call"),
    )} == dict.fromkeys(reasons, True)  # fmt: skip
    with system_scope():
        assert Health.objects.get().failures == {"raised": 1, "contract": 1, "crashed": 1}


def test_policies_that_fail_take_no_other_of_their_plugin_with_them(tmp_path: Path) -> None:
    """Each is asked until it fails, once: nothing is spared by asking its sisters no more."""
    published(tmp_path, name="pricing", code=PRICING.replace('"steady"', f"*{SHY}, 'steady'"))
    enabled(platform_tenant_ensure().id, "pricing")
    names = [f"plugin.pricing.{name}" for name in (*SHY, "steady")]
    job = submit(policies=[*FEW, *({"name": name} for name in names)], months=2)
    start(make_worker(), queue="pipeline.cpu").join()
    result = job_row(job.id).result["campaign"]
    assert [row["policy"] for row in result["policies"]] == ["hold", "match", names[-1]]
    assert len(result["failed"]) == len(SHY)
    assert all("raised: ValueError: no idea" in row["reason"] for row in result["failed"])


def test_a_plugin_that_was_disabled_since_ends_its_policies_only(tmp_path: Path) -> None:
    published(tmp_path, name="pricing", code=PRICING)
    tenant = platform_tenant_ensure()
    installation = enabled(tenant.id, "pricing")
    job = submit(policies=[*FEW, {"name": "plugin.pricing.steady"}], months=4)
    with tenant_scope(tenant.id):
        plugin_disable(actor=actor_of(tenant), installation_id=installation.id)
    start(make_worker(), queue="pipeline.cpu").join()
    result = job_row(job.id).result["campaign"]
    assert "unavailable: pricing was disabled" in result["failed"][0]["reason"]


def test_a_policy_of_a_plugin_that_is_not_enabled_is_refused_first(tmp_path: Path) -> None:
    published(tmp_path, name="pricing", code=PRICING)
    with pytest.raises(InvalidInput, match=r"'plugin\.pricing\.steady'; there are none"):
        submit(policies=[{"name": "plugin.pricing.steady"}])
    enabled(platform_tenant_ensure().id, "pricing")
    with pytest.raises(InvalidInput, match=r"'plugin\.pricing\.x'; there are plugin\.pricing\."):
        submit(policies=[{"name": "plugin.pricing.x"}])


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
