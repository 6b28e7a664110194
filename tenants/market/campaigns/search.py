"""Finding a policy's parameters, under the floor and the cash limit. Pure.

All candidates meet the same worlds and the same luck (common random numbers), so a difference
between two is theirs. What the search has seen is not what it is judged on: `held_out` names the
seed of the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tenants.market.campaigns.policies import candidates_of, parameters_of, policy_of
from tenants.market.campaigns.policies.policy import Policy
from tenants.market.campaigns.simulate import Simulation
from tenants.market.campaigns.specs import CampaignSpec
from tenants.market.campaigns.worlds import world_of

SEARCH_PATHS = 2000
ROUNDS = 1  # of refinement around the grid's best
_HELD_OUT = 1_000_003


@dataclass(frozen=True)
class Tried:
    """A candidate and what it led to on the search's seed."""

    policy: Policy
    final_cash: float
    ruin: float

    def beats(self, other: Tried | None, ruin_limit: float) -> bool:
        """More cash among those within the limit; outside of it, less ruin."""
        if other is None:
            return True
        within, other_within = self.ruin <= ruin_limit, other.ruin <= ruin_limit
        if within != other_within:
            return within
        if within:
            return self.final_cash > other.final_cash
        return (self.ruin, -self.final_cash) < (other.ruin, -other.final_cash)


def held_out(seed: int) -> int:
    """The seed of the comparison: another one than any search with a near seed uses."""
    return (seed + _HELD_OUT) % 2**63


def fewer_paths(spec: CampaignSpec, paths: int = SEARCH_PATHS) -> CampaignSpec:
    """The same campaign with at most `paths` paths, in at most as many scenarios."""
    if spec.paths <= paths:
        return spec
    scenarios = min(spec.scenarios, paths)
    return spec.model_copy(update={"scenarios": scenarios, "paths": paths - paths % scenarios})


def search(
    simulation: Simulation, name: str, given: Mapping[str, float], tick: Callable[[], None]
) -> Tried:
    """The best candidate of a policy: its grid, then halfway to the neighbours of the best."""
    limit = simulation.spec.ruin_limit
    best: Tried | None = None
    candidates = candidates_of(name, given)
    for round_ in range(1 + ROUNDS):
        for policy in candidates:
            tried = _try(simulation, policy)
            best = tried if tried.beats(best, limit) else best
            tick()
        if best is None or round_ == ROUNDS:
            break
        candidates = _halfway(best.policy, given)
    if best is None:
        raise ValueError(f"policy {name!r} has an empty grid")
    return best


def search_steps(name: str, given: Mapping[str, float]) -> int:
    """At most how many candidates a search tries."""
    candidates = candidates_of(name, given)
    return len(candidates) + ROUNDS * max(len(_halfway(one, given)) for one in candidates)


def search_simulation(spec: CampaignSpec) -> Simulation:
    return Simulation(world_of(fewer_paths(spec)))


def _try(simulation: Simulation, policy: Policy) -> Tried:
    outcome = simulation.run(policy)
    return Tried(policy, float(outcome.final_cash.mean()), float(outcome.ruined.mean()))


def _halfway(policy: Policy, given: Mapping[str, float]) -> list[Policy]:
    """One parameter at a time, halfway to its neighbours in the grid."""
    found = []
    parameters = parameters_of(policy)
    for name, grid in policy.grid.items():
        if name in given or parameters[name] not in grid:
            continue
        place = grid.index(parameters[name])
        for neighbour in grid[max(place - 1, 0) : place] + grid[place + 1 : place + 2]:
            middle = (parameters[name] + neighbour) / 2
            found.append(policy_of(policy.name, {**parameters, name: middle}))
    return found
