"""One campaign from spec to result: search, comparison, recommendation, tornado, levers. Pure.

The same spec (its seed in it) gives the same result to the last digit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenants.kernel.errors import InvalidInput
from tenants.market.campaigns.outcomes import by_scenario, summary
from tenants.market.campaigns.policies import POLICIES, parameters_of, policy_of
from tenants.market.campaigns.policies.partners import (
    PartnerPolicy,
    is_partners,
    parameters_refused,
)
from tenants.market.campaigns.policies.policy import Policy, PolicyFailed
from tenants.market.campaigns.recommend import Recommendation, recommend
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

MOST_PARTNER_PATHS = 50_000  # what fits one call of a plugin, as JSON
MOST_PARTNERS = 10  # beside all of ours, what of 120 months fits one frame of a job's child
HAZARD = "rivals: cut hazard"  # fitted, not elicited; a result may depend on it all the same

Progress = Callable[[int, int], None]  # steps done, of how many; may raise to stop


@dataclass(frozen=True)
class _Compared:
    """A policy, its figures, and its cash in each scenario."""

    policy: Policy
    figures: dict[str, Any]
    values: Floats


def campaign_run(
    spec: CampaignSpec, progress: Progress = lambda _step, _of: None,
    *, partners: Sequence[Policy] = (),
) -> dict[str, Any]:  # fmt: skip
    """Run a campaign; the result is JSON. Raises what `progress` raises.

    `partners` are policies of plugins: tried as they are, without a search. One that fails is in
    `failed` with its reason, and no longer among `policies`.
    """
    asked = policies_asked(spec)
    _refuse_missing(spec, partners)
    total = campaign_steps(spec)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        progress(min(done, total), total)

    simulation = search_simulation(spec)
    best = [search(simulation, one.name, one.parameters, tick).policy for one in asked]
    judged = spec.model_copy(update={"seed": held_out(spec.seed)})
    world = world_of(judged)
    failed: dict[str, str] = {}
    compared = _compare(world, [*best, *partners], tick, failed)
    small = fewer_paths(judged)
    while True:
        recommendation = _recommended(spec, compared, world)
        leader = compared[recommendation.leader].policy
        try:
            bars, levers = tornado(small, leader, tick), lever_worths(small, leader, tick)
            break
        except PolicyFailed as error:  # the next best leads
            failed[leader.name] = error.message
            del compared[leader.name]
    return {
        "spec": spec.model_dump(mode="json"),
        "months": spec.months,
        "currency": spec.currency,
        "policies": [one.figures for one in compared.values()],
        "failed": [{"policy": name, "reason": reason} for name, reason in failed.items()],
        "recommendation": dataclasses.asdict(recommendation),
        "tornado": [dataclasses.asdict(bar) | {"width": bar.width} for bar in bars],
        "levers": [dataclasses.asdict(one) for one in levers],
    }


def policies_asked(spec: CampaignSpec) -> list[PolicySpec]:
    """Ours that are named, else all of ours. Raises InvalidInput for an unknown one."""
    asked = [one for one in spec.policies if not is_partners(one.name)]
    asked = asked or [PolicySpec(name=name) for name in POLICIES]
    for one in asked:
        policy_of(one.name, one.parameters)
    return asked


def partners_asked(spec: CampaignSpec) -> list[str]:
    """The plugins' policies that are named. Raises InvalidInput: parameters, or too many."""
    asked = [one for one in spec.policies if is_partners(one.name)]
    for one in asked:
        parameters_refused(one.name, one.parameters)
    if len(asked) > MOST_PARTNERS:
        raise InvalidInput(
            f"a campaign asks at most {MOST_PARTNERS} policies of plugins, not {len(asked)}",
            param="policies",
        )
    if asked and spec.paths > MOST_PARTNER_PATHS:
        raise InvalidInput(
            f"a plugin's policy is asked on at most {MOST_PARTNER_PATHS:,} paths, not "
            f"{spec.paths:,}",
            param="paths",
        )
    return [one.name for one in asked]


def campaign_steps(spec: CampaignSpec) -> int:
    """At most how many simulations a campaign takes, while no plugin fails."""
    asked = policies_asked(spec)
    searched = sum(search_steps(one.name, one.parameters) for one in asked)
    levers = sum(lever.on for lever in spec.levers)
    compared = len(asked) + len(partners_asked(spec))
    return searched + compared + 2 * len(tornado_names(spec)) + levers


def _refuse_missing(spec: CampaignSpec, partners: Sequence[Policy]) -> None:
    missing = sorted({*partners_asked(spec)} - {policy.name for policy in partners})
    if missing:
        raise InvalidInput(
            f"{missing[0]} is a plugin's policy: plugins are called by a running platform only "
            "(POST /operator/v1/campaigns)",
            param="policies",
        )


def _compare(
    world: World, policies: Sequence[Policy], tick: Callable[[], None], failed: dict[str, str]
) -> dict[str, _Compared]:
    """Each policy by its name; those that fail go to `failed`, with the reason."""
    simulation = Simulation(world)
    found: dict[str, _Compared] = {}
    for policy in policies:
        try:
            outcome = simulation.run(policy)
        except PolicyFailed as error:
            failed[policy.name] = error.message
        else:
            figures = summary(outcome, parameters_of(policy))
            if isinstance(policy, PartnerPolicy):
                figures["plugin"] = policy.origin
            values = by_scenario(outcome.final_cash, world.spec.scenarios)
            found[policy.name] = _Compared(policy, figures, values)
        tick()
    return found


def _recommended(
    spec: CampaignSpec, compared: Mapping[str, _Compared], world: World
) -> Recommendation:
    return recommend(
        {name: one.values for name, one in compared.items()},
        {name: one.figures["ruin_probability"] for name, one in compared.items()},
        _assumptions(world),
        ruin_limit=spec.ruin_limit,
    )


def _assumptions(world: World) -> dict[str, Floats]:
    values = {name: world.priors.value(name) for name in tornado_names(world.spec)}
    if world.spec.rivals:
        classes = [rival.model_class for rival in world.spec.rivals]
        hazards = [world.rivals.of_class(name)[0] for name in classes]
        values[HAZARD] = sum(hazards[1:], hazards[0]) / len(hazards)
    return values
