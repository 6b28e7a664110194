"""A price war, month by month, on all paths at once. Pure.

Each month: rivals move, seeing our last price; the policy is asked once, for all paths, and its
price is lifted to the floor; customers choose, in chunks of paths side by side; money is counted.
A path whose cash falls below the limit is ruined and earns nothing more.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from tenants.market.campaigns.choice import choose
from tenants.market.campaigns.competitors import Behaviour, FittedRivals, Seen
from tenants.market.campaigns.levers import USAGE, Levers
from tenants.market.campaigns.policies.policy import Offer, Policy, View, checked_offer
from tenants.market.campaigns.worlds import Floats, Luck, World, luck_of, shares_today

CHUNK = 512  # paths that fit a core's cache together
THREADS = 2
LEAST_PRICE = 1e-9


@dataclass
class Outcome:
    """What a policy led to: arrays (months, paths), money in the campaign's currency a month."""

    policy: str
    share: Floats  # ours, of all customers
    price: Floats  # ours, averaged by tokens
    rival_price: Floats  # the cheapest rival's; ours where there is none
    customers: Floats  # of the whole market, outside option in it
    tokens: Floats  # sold, in millions
    loss: Floats  # what they lie below the month's long-run cost
    revenue: dict[str, Floats]  # by line
    margin: Floats  # revenue of all lines less all costs
    cash: Floats  # at the month's end
    at_floor: Floats  # 1 where the floor lifted a price
    ruined: Floats  # (paths,): 1 where the cash limit was broken
    ruined_in: Floats  # (paths,): the month of it; `months` where it was not

    @property
    def final_cash(self) -> Floats:
        return np.asarray(self.cash[-1])


@dataclass
class _Books:
    """What carries over from month to month."""

    cash: Floats
    alive: Floats
    ruined_in: Floats
    rows: dict[str, list[Floats]] = field(default_factory=dict)

    def note(self, **values: Floats) -> None:
        for name, value in values.items():
            self.rows.setdefault(name, []).append(value)


class Simulation:
    """A spec's worlds with their luck, ready to try one policy after another on."""

    def __init__(
        self,
        world: World,
        luck: Luck | None = None,
        *,
        rivals: Behaviour | None = None,
        chunk: int = CHUNK,
        threads: int = THREADS,
    ) -> None:
        spec, spread = world.spec, world.spread
        self.world, self.spec = world, spec
        self.luck = luck or luck_of(spec)
        self._rivals = rivals or (FittedRivals(world, self.luck) if spec.rivals else None)
        self._levers = Levers.of(world)
        self._chunk, self._threads = chunk, threads
        self._alpha, self._keep = spread(world.alpha), spread(world.keep)
        self._level = spread(world.log_appeal)
        names = [segment.name for segment in spec.segments]
        value = world.priors.value
        self._elasticity = spread(np.stack([value(f"{name}: elasticity") for name in names]))
        self._usage_power = -spread(np.stack([value(f"{n}: usage_elasticity") for n in names]))
        self._growth = spread(np.stack([value(f"{name}: growth") for name in names]))
        self._decline = spread(value("cost_decline"))
        self._usage = np.array([[segment.usage] for segment in spec.segments])
        start = np.array([[1.0, *[rival.price for rival in spec.rivals]]]).T
        start[0] = spec.own.price
        self._start = start[:, :, None]  # (ours and rivals', 1, 1)

    def run(self, policy: Policy) -> Outcome:
        """Try a policy. Raises PolicyFailed where it raises or answers what is no offer."""
        spec, paths = self.spec, self.spec.paths
        sizes = np.array([segment.customers for segment in spec.segments])
        customers = np.repeat((shares_today(spec) * sizes)[:, :, None], paths, axis=2)
        own_price = np.full((len(spec.segments), paths), spec.own.price)
        mean_price = np.full(paths, spec.own.price)
        rival_prices = np.repeat(self._start[1:, :, 0], paths, axis=1)
        worth = np.zeros_like(rival_prices)
        books = _Books(
            np.full(paths, spec.own.cash), np.ones(paths), np.full(paths, float(spec.months))
        )
        with ThreadPoolExecutor(self._threads) as pool:
            for month in range(spec.months):
                if self._rivals is not None:
                    seen = Seen(month, rival_prices, worth, mean_price)
                    rival_prices, worth = self._rivals.move(seen)
                view = self._view(month, own_price, rival_prices, customers, books)
                offer = checked_offer(policy, view)
                own_price = np.maximum(np.maximum(offer.price, view.floor), LEAST_PRICE)
                customers = self._customers(
                    month, customers, offer, own_price, rival_prices - worth, pool
                )
                mean_price = self._count(month, customers, offer, own_price, view, books)
        return self._outcome(policy, books)

    def _view(
        self, month: int, own_price: Floats, rival_prices: Floats, customers: Floats, books: _Books
    ) -> View:
        own, falling = self.spec.own, (1.0 - self._decline) ** month
        unit_cost = own.unit_cost * falling * self._levers.remaining("unit_cost_saving", month)
        floor = unit_cost + (self._capacity(month) if self.spec.floor == "long_run" else 0.0)
        return View(
            month=month,
            start_price=own.price,
            own_price=own_price,
            rival_prices=rival_prices,
            unit_cost=unit_cost,
            floor=floor,
            share=customers[1] / np.maximum(customers.sum(axis=0), 1e-300),
            elasticity=self._elasticity,
            cash=books.cash,
            alpha=self._alpha,
        )

    def _capacity(self, month: int) -> Floats:
        """What long-run cost holds beyond the short-run one, (paths,)."""
        own = self.spec.own
        return (own.long_run_cost - own.unit_cost) * (1.0 - self._decline) ** month

    def _customers(
        self,
        month: int,
        customers: Floats,
        offer: Offer,
        own_price: Floats,
        rival_prices: Floats,
        pool: ThreadPoolExecutor,
    ) -> Floats:
        """Next month's customers, chunk by chunk: each path is alone, so chunks do not matter."""
        price = self.spec.own.price
        extra = np.asarray(self._levers.added("worth", month)) * price + offer.worth
        bond = np.asarray(self._levers.added("switching", month)) * price + offer.switching
        found = np.empty_like(customers)

        def fill(begin: int) -> None:
            part = slice(begin, begin + self._chunk)
            alpha = self._alpha[:, part]
            appeal = self._level[:, :, part].copy()
            appeal[1] -= alpha * (own_price[:, part] - extra[:, part] - self._start[0])
            appeal[2:] -= alpha * (rival_prices[:, None, part] - self._start[1:])
            appeal -= appeal.max(axis=0)
            np.exp(appeal, out=appeal)
            keep = np.empty_like(appeal)
            keep[:] = self._keep[:, part]
            keep[1] *= np.exp(-alpha * bond[:, part])
            before = customers[:, :, part]
            arrivals = self._growth[:, part] * before.sum(axis=0)
            stickiness = self.spec.assumptions.stickiness
            found[:, :, part] = choose(before, appeal, keep, stickiness, arrivals)

        list(pool.map(fill, range(0, customers.shape[2], self._chunk)))
        return found

    def _count(
        self,
        month: int,
        customers: Floats,
        offer: Offer,
        own_price: Floats,
        view: View,
        books: _Books,
    ) -> Floats:
        """Enter the month into the books; return our price averaged by tokens."""
        own, levers = self.spec.own, self._levers
        ours = customers[1]
        tokens = ours * self._usage * (own_price / own.price) ** self._usage_power
        sold = tokens.sum(axis=0)
        usage = (tokens * own_price).sum(axis=0)
        variable = (tokens * offer.unit_cost).sum(axis=0) * view.unit_cost
        variable = variable * levers.remaining("cost_shared", month)
        shared = usage * (1.0 - levers.remaining("revenue_shared", month))
        costs = variable + shared + (ours * offer.customer_cost).sum(axis=0)
        costs = costs + own.fixed_cost * levers.remaining("fixed_cost_saving", month)
        number, alive = ours.sum(axis=0), books.alive
        revenue = {USAGE: usage * alive}
        for line in levers.lines(month):
            revenue[line.name] = (number * line.customer_revenue + line.revenue) * alive
            costs = costs + number * line.customer_cost + line.cost
        margin = sum(revenue.values()) - costs * alive
        books.cash = books.cash + margin
        broke = (books.cash < own.cash_limit) & (alive > 0)
        books.ruined_in = np.where(broke, float(month), books.ruined_in)
        books.alive = np.where(broke, 0.0, alive)
        mean_price = np.where(sold > 0, usage / np.maximum(sold, 1e-300), own_price.mean(axis=0))
        everybody = customers.sum(axis=(0, 1))
        below = np.maximum(view.unit_cost + self._capacity(month) - mean_price, 0.0)
        books.note(
            share=number / np.maximum(everybody, 1e-300),
            price=mean_price,
            rival_price=view.rival_prices.min(axis=0) if self.spec.rivals else mean_price,
            customers=everybody,
            tokens=sold * alive,
            loss=sold * alive * below,
            margin=margin,
            cash=books.cash,
            at_floor=np.asarray((offer.price < view.floor).any(axis=0), dtype=np.float64),
            **{f"revenue.{name}": value for name, value in revenue.items()},
        )
        return np.asarray(mean_price)

    def _outcome(self, policy: Policy, books: _Books) -> Outcome:
        rows = {name: np.stack(values) for name, values in books.rows.items()}
        lines = {
            name.removeprefix("revenue."): rows.pop(name)
            for name in list(rows)
            if name.startswith("revenue.")
        }
        return Outcome(
            policy=policy.name,
            revenue=lines,
            ruined=1.0 - books.alive,
            ruined_in=books.ruined_in,
            **rows,
        )
