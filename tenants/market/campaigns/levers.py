"""What our levers bring in a month: costs saved, lines of revenue, worth to customers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tenants.market.campaigns.specs import Lever
from tenants.market.campaigns.worlds import Floats, World

USAGE = "usage"  # the line of what tokens bring; the others are levers' names


@dataclass(frozen=True)
class Line:
    """A line of revenue with its own cost: a part per customer of ours, a part per month."""

    name: str
    customer_revenue: Floats  # (paths,)
    customer_cost: Floats
    revenue: Floats
    cost: Floats


@dataclass(frozen=True)
class Levers:
    """All switched-on levers together, fully ramped up; `ramp(month)` says how far each is.

    Savings of one kind multiply: a tenth saved twice leaves 81%.
    """

    levers: Sequence[Lever]
    values: Sequence[dict[str, Floats]]  # by effect, (paths,)

    @classmethod
    def of(cls, world: World) -> Levers:
        on = [lever for lever in world.spec.levers if lever.on]
        return cls(on, [_values(lever, world) for lever in on])

    def remaining(self, effect: str, month: int) -> Floats | float:
        """What a saving leaves: the product of 1 - saving."""
        left: Floats | float = 1.0
        for lever, values in zip(self.levers, self.values, strict=True):
            left = left * (1.0 - _ramp(lever, month) * values[effect])
        return left

    def added(self, effect: str, month: int) -> Floats | float:
        total: Floats | float = 0.0
        for lever, values in zip(self.levers, self.values, strict=True):
            total = total + _ramp(lever, month) * values[effect]
        return total

    def lines(self, month: int) -> list[Line]:
        """The lines that bring or cost anything by themselves."""
        found = []
        for lever, values in zip(self.levers, self.values, strict=True):
            ramp = _ramp(lever, month)
            names = ("customer_revenue", "customer_cost", "line_revenue", "line_cost")
            parts = [ramp * values[name] for name in names]
            found.append(Line(lever.name, *parts))
        return found


def _values(lever: Lever, world: World) -> dict[str, Floats]:
    names = [name.removeprefix(f"{lever.name}: ") for name in world.priors.ranges]
    return {
        name: world.spread(world.priors.value(f"{lever.name}: {name}"))
        for name in names
        if f"{lever.name}: {name}" in world.priors.ranges
    }


def _ramp(lever: Lever, month: int) -> float:
    """0 before the start, then in equal steps to 1."""
    if month < lever.starts:
        return 0.0
    return float(min(1.0, (month - lever.starts + 1) / (lever.ramp + 1)))
