"""What compute to buy: whole purchases under uncertain demand, a mixed-integer programme. Pure.

    min  Σ cost[r]·y[r,t] + Σ_s π_s Σ (price·u + penalty·h) - Σ value of what outlives the horizon

y[r,t] units of offer r are bought in month t and serve for its term. In each scenario s, class c
and month t, demand is met by what is bought (flow f), by on-demand and spot use u, or falls short
(h). Rows: capacity of what is bought; availability of offers, spot and on-demand; a budget for
purchases a month; the share of demand that must be met (service). An offer serves one class or
several. What a purchase would still serve after the horizon is worth its cost pro rata.

Solved with HiGHS through scipy (Huangfu and Hall, Math. Prog. Comp. 10, 2018). Flows, use and
shortfall are continuous; only purchases are whole. Estimates in float64: never posted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csc_array, hstack

from tenants.costs.procurement_case import Case, Floats, Offer
from tenants.kernel.errors import InvalidInput

OUT_OF_TIME = 1  # of scipy's milp


@dataclass(frozen=True)
class Purchases:
    """`buy[r, t]` units; the expected cost in all, and a bound under which no plan's cost lies.

    `dual[c, t]` is what one more unit of demand would cost, expected: the opportunity cost of
    capacity where it binds.
    """

    buy: NDArray[np.int64]
    cost: float
    bound: float
    dual: Floats

    @property
    def gap(self) -> float:
        return (self.cost - self.bound) / max(abs(self.cost), 1e-9)


@dataclass(frozen=True)
class Used:
    """How given purchases are used, expected, at least cost: `markets[m, c, t]` is bought as it is
    used, `short[c, t]` is not met.
    """

    cost: float
    dual: Floats
    markets: Floats
    short: Floats


@dataclass(frozen=True)
class Layout:
    """Where each variable stands in the programme's vector."""

    offers: int
    months: int
    scenarios: int
    classes: int
    pools: Sequence[frozenset[str]]  # offers that serve the same classes share their capacity
    flows: Sequence[tuple[int, int]]  # (pool, class) that fit
    uses: Sequence[tuple[int, int]]  # (market, class) that are priced

    @property
    def bought(self) -> int:
        return self.offers * self.months

    @property
    def block(self) -> int:
        """Variables of one scenario and month: flows, uses, shortfalls."""
        return len(self.flows) + len(self.uses) + self.classes

    @property
    def size(self) -> int:
        return self.bought + self.scenarios * self.months * self.block

    def of(self, scenario: int, month: int) -> int:
        return self.bought + (scenario * self.months + month) * self.block


@dataclass
class _Rows:
    """Constraints, entry by entry."""

    row: list[int] = field(default_factory=list)
    column: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def add(self, entries: Sequence[tuple[int, float]], low: float, high: float) -> None:
        number = len(self.low)
        for column, value in entries:
            self.row.append(number)
            self.column.append(column)
            self.value.append(value)
        self.low.append(low)
        self.high.append(high)

    def constraint(self, size: int) -> LinearConstraint:
        shape = (len(self.low), size)
        matrix = csc_array((self.value, (self.row, self.column)), shape=shape)
        return LinearConstraint(matrix, np.array(self.low), np.array(self.high))


class Programme:
    """A case as a programme, built once; it prices any purchases, and other demand too."""

    def __init__(self, case: Case) -> None:
        self.case, self.layout = case, layout_of(case)
        self._costs, self._high = _costs(case, self.layout), _limits(case, self.layout)
        self._rows = _rows(case, self.layout).constraint(self.layout.size)
        # demand rows are equalities and come first; the rest are "at most"
        demand, bought = case.demand.size, self.layout.bought
        matrix = self._rows.A.tocsr()
        self._meet = matrix[:demand, bought:]
        self._keep, self._held = matrix[demand:, bought:], matrix[demand:, :bought]
        self._room = self._rows.ub[demand:]

    def best(self, *, gap: float, seconds: float) -> Purchases:
        integral = np.zeros(self.layout.size)
        integral[: self.layout.bought] = 1
        found = milp(
            self._costs,
            integrality=integral,
            bounds=Bounds(np.zeros(self.layout.size), self._high),
            constraints=self._rows,
            options={"mip_rel_gap": gap, "time_limit": seconds},
        )
        if found.x is None and found.status == OUT_OF_TIME:
            raise InvalidInput(
                f"no plan was found in {seconds:g} s: ask for fewer months, scenarios or offers",
                param="scenarios",
                code="out_of_time",
            )
        if found.x is None:
            raise InvalidInput(
                f"no purchases keep the budget and the service asked for: {found.message}",
                param="service",
            )
        buy = np.rint(found.x[: self.layout.bought]).astype(np.int64)
        buy = buy.reshape(self.layout.offers, self.layout.months)
        used = self.used(buy)
        cost, dual = used.cost, used.dual
        bound = found.mip_dual_bound if found.mip_dual_bound is not None else cost
        bound = min(max(bound, 0.0), cost)  # nothing is earned; without time it has none yet
        return Purchases(buy=buy, cost=cost, bound=float(bound), dual=dual)

    def cost(self, buy: NDArray[np.int64], demand: Floats | None = None) -> float:
        """What purchases cost, expected, used as well as can be. See `used`."""
        return self.used(buy, demand).cost

    def used(self, buy: NDArray[np.int64], demand: Floats | None = None) -> Used:
        """Use purchases as well as can be. `demand` takes the place of the case's.

        Raises InvalidInput where budget or service breaks.
        """
        bought, units = self.layout.bought, buy.ravel().astype(np.float64)
        if (units > self._high[:bought]).any():
            raise InvalidInput("more units than an offer has", param="offers")
        wanted = self.case.demand if demand is None else demand
        found = linprog(
            self._costs[bought:],
            A_ub=self._keep,
            b_ub=self._room - self._held @ units,
            A_eq=self._meet,
            b_eq=wanted.transpose(0, 2, 1).ravel(),
            bounds=np.column_stack([np.zeros(len(self._high) - bought), self._high[bought:]]),
            method="highs",
        )
        if found.status != 0:
            raise InvalidInput(f"these purchases do not do: {found.message}", param="service")
        scenarios, classes, months = wanted.shape
        duals = found.eqlin.marginals.reshape(scenarios, months, classes)
        mean = np.tensordot(self.case.weights, found.x.reshape(scenarios, months, -1), axes=1).T
        begin = len(self.layout.flows)
        markets = np.zeros((len(self.case.markets), classes, months))
        for n, (market, name) in enumerate(self.layout.uses):
            markets[market, name] = mean[begin + n]
        return Used(
            cost=float(found.fun + self._costs[:bought] @ units),
            dual=duals.sum(axis=0).T,
            markets=markets,
            short=mean[-classes:],
        )

    def best_multiple(self, one: NDArray[np.int64], most: int) -> tuple[float, float] | None:
        """How many times `one` purchases should be made, up to `most`, and what that costs: the
        least over real numbers, below every whole one. None where no number does.
        """
        bought, unit = self.layout.bought, one.ravel().astype(np.float64)
        column = csc_array((self._held @ unit)[:, None])
        nothing = csc_array((self._meet.shape[0], 1))
        high = np.concatenate([[most], self._high[bought:]])
        found = linprog(
            np.concatenate([[self._costs[:bought] @ unit], self._costs[bought:]]),
            A_ub=hstack([column, self._keep], format="csr"),
            b_ub=self._room,
            A_eq=hstack([nothing, self._meet], format="csr"),
            b_eq=self.case.demand.transpose(0, 2, 1).ravel(),
            bounds=np.column_stack([np.zeros(len(high)), high]),
            method="highs",
        )
        return (float(found.x[0]), float(found.fun)) if found.status == 0 else None


def purchase_plan(case: Case, *, gap: float = 0.01, seconds: float = 20.0) -> Purchases:
    """Return the purchases of least expected cost, within `gap` of the bound or of `seconds`.

    Raises InvalidInput where no purchases keep budget and service.
    """
    return Programme(case).best(gap=gap, seconds=seconds)


def layout_of(case: Case) -> Layout:
    pools = sorted({offer.serves for offer in case.offers} | case.held.keys(), key=sorted)
    return Layout(
        offers=len(case.offers),
        months=case.months,
        scenarios=len(case.weights),
        classes=len(case.classes),
        pools=pools,
        flows=[
            (p, c)
            for p, serves in enumerate(pools)
            for c, name in enumerate(case.classes)
            if name in serves
        ],
        uses=[
            (m, c)
            for m, market in enumerate(case.markets)
            for c, name in enumerate(case.classes)
            if name in market.prices
        ],
    )


def purchase_cost(case: Case, offer: Offer, month: int) -> float:
    """What a unit bought in `month` costs within the horizon: its cost less its end value."""
    beyond = max(0, month + offer.months - case.months)
    return offer.cost * (1 - case.end_value * beyond / offer.months)


def offered(offer: Offer, month: int) -> bool:
    """Whether an offer can be bought in `month`."""
    return offer.from_month <= month and (offer.to_month is None or month < offer.to_month)


def _costs(case: Case, layout: Layout) -> Floats:
    costs = np.zeros(layout.size)
    for r, offer in enumerate(case.offers):
        for t in range(layout.months):
            costs[r * layout.months + t] = purchase_cost(case, offer, t)
    prices = [case.markets[m].prices[case.classes[c]] for m, c in layout.uses]
    penalties = [case.penalty[name] for name in case.classes]
    block = np.array([*np.zeros(len(layout.flows)), *prices, *penalties])
    for s, weight in enumerate(case.weights):
        start = layout.of(s, 0)
        costs[start : start + layout.months * layout.block] = np.tile(block * weight, layout.months)
    return costs


def _limits(case: Case, layout: Layout) -> Floats:
    high = np.full(layout.size, np.inf)
    for r, offer in enumerate(case.offers):
        for t in range(layout.months):
            high[r * layout.months + t] = offer.available if offered(offer, t) else 0
    uses = [case.markets[m].limits.get(case.classes[c], np.inf) for m, c in layout.uses]
    begin = len(layout.flows)
    for s in range(layout.scenarios):
        for t in range(layout.months):
            start = layout.of(s, t) + begin
            high[start : start + len(uses)] = uses
    return high


def _rows(case: Case, layout: Layout) -> _Rows:
    """Demand rows first (by scenario, month, class), then capacity, budget and service."""
    rows = _Rows()
    for s in range(layout.scenarios):
        for t in range(layout.months):
            for c in range(layout.classes):
                wanted = float(case.demand[s, c, t])
                rows.add(_meeting(layout, s, t, c), wanted, wanted)
    for s in range(layout.scenarios):
        for t in range(layout.months):
            for p in range(len(layout.pools)):
                held = case.held.get(layout.pools[p])
                rows.add(_serving(case, layout, p, s, t), -np.inf, held[t] if held else 0.0)
    if case.budget is not None:
        for t in range(layout.months):
            spent = [(r * layout.months + t, offer.cost) for r, offer in enumerate(case.offers)]
            rows.add(spent, -np.inf, case.budget)
    if case.service > 0:
        for s in range(layout.scenarios):
            for c in range(layout.classes):
                short = [
                    (layout.of(s, t) + layout.block - layout.classes + c, 1.0)
                    for t in range(layout.months)
                ]
                allowed = (1 - case.service) * float(case.demand[s, c].sum())
                rows.add(short, -np.inf, allowed)
    return rows


def _meeting(layout: Layout, s: int, t: int, c: int) -> list[tuple[int, float]]:
    """Flows, use and shortfall that meet a class's demand."""
    start = layout.of(s, t)
    flows = [(start + n, 1.0) for n, (_, to) in enumerate(layout.flows) if to == c]
    begin = start + len(layout.flows)
    uses = [(begin + n, 1.0) for n, (_, to) in enumerate(layout.uses) if to == c]
    return [*flows, *uses, (begin + len(layout.uses) + c, 1.0)]


def _serving(case: Case, layout: Layout, p: int, s: int, t: int) -> list[tuple[int, float]]:
    """A pool's flows, less the capacity of its offers' units that are in their term."""
    start = layout.of(s, t)
    flows = [(start + n, 1.0) for n, (of, _) in enumerate(layout.flows) if of == p]
    held = [
        (r * layout.months + bought, -offer.capacity)
        for r, offer in enumerate(case.offers)
        if offer.serves == layout.pools[p]
        for bought in range(max(0, t - offer.months + 1), t + 1)
    ]
    return [*flows, *held]
