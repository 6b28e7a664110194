"""What each assumption, and each lever, is worth in cash at the end. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tenants.market.campaigns.outcomes import BAND, by_scenario
from tenants.market.campaigns.policies.policy import Policy
from tenants.market.campaigns.simulate import Simulation
from tenants.market.campaigns.specs import CampaignSpec
from tenants.market.campaigns.worlds import World, luck_of, priors_of, world_of

LOW, HIGH = 0.1, 0.9  # quantiles of a prior between which it is moved


@dataclass(frozen=True)
class Bar:
    """Mean cash at the end with one assumption at its prior's 10% and 90%, all else as drawn."""

    assumption: str
    low_value: float
    high_value: float
    cash_at_low: float
    cash_at_high: float

    @property
    def width(self) -> float:
        return abs(self.cash_at_high - self.cash_at_low)


@dataclass(frozen=True)
class LeverWorth:
    """What a lever adds to the cash at the end, over scenarios: mean and 10% to 90%."""

    lever: str
    source: str
    mean: float
    low: float
    high: float


def tornado(spec: CampaignSpec, policy: Policy, tick: Callable[[], None]) -> list[Bar]:
    """Every unknown's bar, the widest first. All runs share one luck."""
    priors, luck = priors_of(spec), luck_of(spec)
    bars = []
    for name in tornado_names(spec):
        ends = []
        for quantile in (LOW, HIGH):
            moved = priors.with_point(name, quantile)
            simulation = Simulation(world_of(spec, moved), luck)
            cash = float(simulation.run(policy).final_cash.mean())
            ends.append((float(moved.value(name)[0]), cash))
            tick()
        (low, at_low), (high, at_high) = ends
        bars.append(Bar(name, low, high, at_low, at_high))
    return sorted(bars, key=lambda bar: -bar.width)


def tornado_names(spec: CampaignSpec) -> tuple[str, ...]:
    """What is unknown, switched-off levers apart."""
    off = {lever.name for lever in spec.levers if not lever.on}
    return tuple(name for name in priors_of(spec).unknown if name.split(": ")[0] not in off)


def lever_worths(spec: CampaignSpec, policy: Policy, tick: Callable[[], None]) -> list[LeverWorth]:
    """What each switched-on lever brings: with all of them, less with all but that one."""
    world, luck = world_of(spec), luck_of(spec)
    whole = Simulation(world, luck).run(policy).final_cash
    found = []
    for lever in spec.levers:
        if not lever.on:
            continue
        without = Simulation(_without(world, lever.name), luck).run(policy).final_cash
        gain = by_scenario(whole - without, spec.scenarios)
        low, high = np.quantile(gain, [BAND[0], BAND[2]])
        found.append(
            LeverWorth(lever.name, lever.source, float(gain.mean()), float(low), float(high))
        )
        tick()
    return found


def _without(world: World, name: str) -> World:
    """The same worlds with one lever off: its draws stay where they are, unused."""
    levers = tuple(
        lever.model_copy(update={"on": False}) if lever.name == name else lever
        for lever in world.spec.levers
    )
    spec = world.spec.model_copy(update={"levers": levers})
    return World(spec, world.priors, world.rivals, world.alpha, world.keep, world.log_appeal)
