"""What a plan costs where an assumption was wrong, and what a plan that knew would cost. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tenants.costs.procurement import Programme, purchase_plan
from tenants.costs.procurement_baselines import Units, cost_of
from tenants.costs.procurement_case import Case, Market
from tenants.kernel.errors import InvalidInput

ON_DEMAND, SPOT = "on demand", "spot"
FACTORS = (0.8, 1.2)


@dataclass(frozen=True)
class Changed:
    """`kept` is the plan's cost under the change (infinite where it breaks budget or service),
    `again` the cost of the plan made for it.
    """

    what: str  # "demand", "on_demand", "spot", "offers", "no_spot"
    factor: float
    kept: float
    again: float

    @property
    def regret(self) -> float:
        return max(0.0, self.kept - self.again)


def sensitivity(
    case: Case, buy: Units, *, seconds: float = 10.0, tell: Callable[[], None] = lambda: None
) -> list[Changed]:
    """Each assumption a fifth less and a fifth more; and spot gone. `tell` is called after each."""
    found = []
    for what, factor, changed in changes(case):
        kept = cost_of(Programme(changed), buy)
        try:
            again = purchase_plan(changed, seconds=seconds).cost
        except InvalidInput:
            again = kept
        found.append(Changed(what, factor, kept, min(kept, again)))
        tell()
    return found


def changes(case: Case) -> Iterator[tuple[str, float, Case]]:
    """Each change by its name, its factor, and the case with it."""
    names = {market.name for market in case.markets}
    for factor in FACTORS:
        yield "demand", factor, replace(case, demand=case.demand * factor)
        if ON_DEMAND in names:
            yield "on_demand", factor, _priced(case, ON_DEMAND, factor)
        if SPOT in names:
            yield "spot", factor, _priced(case, SPOT, factor)
        dearer = [replace(offer, cost=offer.cost * factor) for offer in case.offers]
        yield "offers", factor, replace(case, offers=dearer)
    if SPOT in names:
        yield "no_spot", 0.0, replace(case, markets=[m for m in case.markets if m.name != SPOT])


def _priced(case: Case, name: str, factor: float) -> Case:
    def changed(market: Market) -> Market:
        if market.name != name:
            return market
        return replace(market, prices={c: p * factor for c, p in market.prices.items()})

    return replace(case, markets=[changed(market) for market in case.markets])
