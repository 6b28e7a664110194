"""One campaign from spec to result: search, comparison, recommendation, tornado, levers. Pure.

The same spec (its seed in it) gives the same result to the last digit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from tenants.market.campaigns.outcomes import by_scenario, summary
from tenants.market.campaigns.policies import POLICIES, parameters_of, policy_of
from tenants.market.campaigns.policies.policy import Policy
from tenants.market.campaigns.recommend import recommend
from tenants.market.campaigns.search import (
    fewer_paths,
    held_out,
    search,
    search_simulation,
    search_steps,
)
from tenants.market.campaigns.simulate import Simulation
from tenants.market.campaigns.specs import CampaignSpec, PolicySpec
from tenants.market.campaigns.tornado import lever_worths, tornado, tornado_names
from tenants.market.campaigns.worlds import Floats, World, world_of

HAZARD = "rivals: cut hazard"  # fitted, not elicited; a result may depend on it all the same

Progress = Callable[[int, int], None]  # steps done, of how many; may raise to stop


def campaign_run(
    spec: CampaignSpec, progress: Progress = lambda _step, _of: None,
    *, partners: Sequence[Policy] = (),
) -> dict[str, Any]:  # fmt: skip
    """Run a campaign; the result is JSON. Raises PolicyFailed, and what `progress` raises.

    `partners` are policies of plugins: tried as they are, without a search.
    """
    asked = policies_asked(spec)
    total = campaign_steps(spec, len(partners))
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        progress(min(done, total), total)

    simulation = search_simulation(spec)
    best = [search(simulation, one.name, one.parameters, tick).policy for one in asked]
    judged = spec.model_copy(update={"seed": held_out(spec.seed)})
    world = world_of(judged)
    compared = _compare(world, [*best, *partners], tick)
    recommendation = recommend(
        {name: values for name, (_, values, _) in compared.items()},
        {name: found["ruin_probability"] for name, (found, _, _) in compared.items()},
        _assumptions(world),
        ruin_limit=spec.ruin_limit,
    )
    leader = compared[recommendation.leader][2]
    small = fewer_paths(judged)
    return {
        "spec": spec.model_dump(mode="json"),
        "months": spec.months,
        "currency": spec.currency,
        "policies": [found for found, _, _ in compared.values()],
        "recommendation": dataclasses.asdict(recommendation),
        "tornado": [
            dataclasses.asdict(bar) | {"width": bar.width} for bar in tornado(small, leader, tick)
        ],
        "levers": [dataclasses.asdict(one) for one in lever_worths(small, leader, tick)],
    }


def policies_asked(spec: CampaignSpec) -> list[PolicySpec]:
    """Those named, else all. Raises InvalidInput for an unknown policy or parameter."""
    asked = list(spec.policies) or [PolicySpec(name=name) for name in POLICIES]
    for one in asked:
        policy_of(one.name, one.parameters)
    return asked


def campaign_steps(spec: CampaignSpec, partners: int = 0) -> int:
    """At most how many simulations a campaign takes."""
    asked = policies_asked(spec)
    searched = sum(search_steps(one.name, one.parameters) for one in asked)
    levers = sum(lever.on for lever in spec.levers)
    return searched + len(asked) + partners + 2 * len(tornado_names(spec)) + levers


def _compare(
    world: World, policies: Sequence[Policy], tick: Callable[[], None]
) -> dict[str, tuple[dict[str, Any], Floats, Policy]]:
    """Each policy's figures, its cash in each scenario, and itself, by its name."""
    simulation = Simulation(world)
    found: dict[str, tuple[dict[str, Any], Floats, Policy]] = {}
    for policy in policies:
        outcome = simulation.run(policy)
        values = by_scenario(outcome.final_cash, world.spec.scenarios)
        figures = summary(outcome, parameters_of(policy))
        found[policy.name] = figures, values, policy
        tick()
    return found


def _assumptions(world: World) -> dict[str, Floats]:
    values = {name: world.priors.value(name) for name in tornado_names(world.spec)}
    if world.spec.rivals:
        classes = [rival.model_class for rival in world.spec.rivals]
        hazards = [world.rivals.of_class(name)[0] for name in classes]
        values[HAZARD] = sum(hazards[1:], hazards[0]) / len(hazards)
    return values
