"""A campaign from spec to result, and what is refused before it begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tenants.kernel.errors import InvalidInput
from tenants.market.campaigns.campaign import campaign_run, campaign_steps
from tenants.market.campaigns.policies import policy_of
from tenants.market.campaigns.search import fewer_paths, held_out
from tenants.market.campaigns.simulate import Simulation
from tenants.market.campaigns.specs import LEVERS, CampaignSpec
from tenants.market.campaigns.tornado import lever_worths, tornado_names
from tenants.market.campaigns.worlds import world_of
from tests.tenants.market.factories import campaign, spec

EFFECTS: dict[str, dict[str, Any]] = {
    "cheaper_training": {"fixed_cost_saving": {"low": 0.05, "mode": 0.1, "high": 0.2}},
    "utilisation": {"unit_cost_saving": {"low": 0.05, "mode": 0.1, "high": 0.2}},
    "waste": {"fixed_cost_saving": {"low": 0.02, "mode": 0.05, "high": 0.1}},
    "procurement": {"unit_cost_saving": {"low": 0.05, "mode": 0.15, "high": 0.25}},
    "pruning": {"unit_cost_saving": {"low": 0.1, "mode": 0.2, "high": 0.4}},
    "services": {"customer_revenue": {"low": 5, "mode": 10, "high": 20}, "customer_cost": 3},
    "partner_revenue": {"line_revenue": {"low": 200, "mode": 500, "high": 900}},
    "partner_cost_share": {"cost_shared": {"low": 0.05, "mode": 0.1, "high": 0.2}},
    "new_lines": {"line_revenue": {"low": 500, "mode": 900, "high": 2000}, "line_cost": 100},
    "personalised_models": {"worth": {"low": 0.05, "mode": 0.1, "high": 0.2}},
}


def small(**changes: Any) -> dict[str, Any]:
    policies = [{"name": "hold"}, {"name": "match"}]
    return campaign(policies=policies, paths=100, scenarios=10, months=6, **changes)


def test_the_same_spec_gives_the_same_result_and_tells_its_progress() -> None:
    asked = CampaignSpec.read(small())
    told: list[tuple[int, int]] = []
    first = campaign_run(asked, lambda step, of: told.append((step, of)))
    assert campaign_run(asked) == first
    assert [step for step, _ in told] == sorted(step for step, _ in told)
    assert {of for _, of in told} == {campaign_steps(asked)}
    assert {found["policy"] for found in first["policies"]} == {"hold", "match"}
    assert held_out(asked.seed) != asked.seed


def test_every_row_of_the_essay_brings_money_and_can_be_switched_off() -> None:
    assert set(EFFECTS) == set(LEVERS)
    levers = [{"name": name, "ramp": 0, **effect} for name, effect in EFFECTS.items()]
    result = campaign_run(CampaignSpec.read(small(levers=levers)))
    found = {row["lever"]: row for row in result["levers"]}
    assert set(found) == set(LEVERS)
    for row in found.values():
        assert 0 < row["low"] <= row["mean"] <= row["high"]
    off = [lever | {"on": lever["name"] != "services"} for lever in levers]
    without = campaign_run(CampaignSpec.read(small(levers=off)))
    assert "services" not in {row["lever"] for row in without["levers"]}
    assert not any(bar["assumption"].startswith("services") for bar in without["tornado"])


@pytest.mark.parametrize("name", LEVERS)
def test_a_lever_that_is_off_brings_nothing_and_is_told_of_no_more(name: str) -> None:
    """On the same worlds and luck: off is as if it did nothing, on brings money."""
    on = [{"name": each, "ramp": 0, **effect} for each, effect in EFFECTS.items()]
    off = [lever | {"on": lever["name"] != name} for lever in on]
    idle = [lever if lever["name"] != name else {"name": name} for lever in on]
    specs = [CampaignSpec.read(small(levers=levers)) for levers in (on, off, idle)]
    whole, without, nothing = (
        Simulation(world_of(each)).run(policy_of("hold", {})).final_cash for each in specs
    )
    np.testing.assert_array_equal(without, nothing)
    assert (whole - without).mean() > 0
    told = lever_worths(specs[1], policy_of("hold", {}), lambda: None)
    assert {one.lever for one in told} == {*LEVERS} - {name}
    assert not [bar for bar in tornado_names(specs[1]) if bar.startswith(f"{name}: ")]


def test_progress_that_raises_stops_the_campaign() -> None:
    class Stopped(Exception):
        pass

    def stop(step: int, of: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        campaign_run(CampaignSpec.read(small()), stop)


def test_a_search_uses_fewer_paths_of_whole_scenarios() -> None:
    reduced = fewer_paths(spec(paths=5000, scenarios=25), 2013)
    assert reduced.paths % reduced.scenarios == 0
    assert reduced.paths <= 2013


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"own": {"price": 2, "unit_cost": 1, "long_run_cost": 1, "fixed_cost": 0, "cash": 0}},
         "ruined before the first month"),
        ({"own": {"price": 2, "unit_cost": 1, "long_run_cost": 0.5, "fixed_cost": 0, "cash": 9}},
         "cannot be less"),
        ({"own": {"price": 0, "unit_cost": 0, "long_run_cost": 0, "fixed_cost": 0, "cash": 9}},
         "own.price"),
        ({"currency": "XXD"}, "XXD"),
        ({"paths": 201}, "multiple of scenarios"),
        ({"paths": 100_000, "months": 1, "scenarios": 10, "segments": [
            campaign()["segments"][0] | {"name": f"s{n}", "shares": {}} for n in range(12)],
          "rivals": [{"name": f"r{n}", "model_class": "x", "price": 1} for n in range(20)]},
         "too many paths"),
        ({"rivals": []}, "which is no rival"),
        ({"surprise": 1}, "surprise"),
        ({"assumptions": {"reaction": {"low": 2, "mode": 1, "high": 3}}}, "low <= mode <= high"),
        ({"assumptions": {"stickiness": 1.0}}, "assumptions.stickiness"),
        ({"levers": [{"name": "magic"}]}, "levers.0.name"),
        ({"own": campaign()["own"] | {"cash": float("nan")}}, "own.cash"),
    ],
)  # fmt: skip
def test_a_campaign_that_makes_no_sense_is_refused_by_name(
    changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        CampaignSpec.read(campaign(**changes))
    assert told in caught.value.message


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ({"name": "bribe"}, "there is no policy 'bribe'"),
        ({"name": "match", "parameters": {"by": 1}}, "no parameter 'by'"),
        ({"name": "match", "parameters": {"premium": 99}}, "a share of today's price"),
    ],
)
def test_an_unknown_policy_is_refused_by_name(policy: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        campaign_run(CampaignSpec.read(campaign(policies=[policy])))
