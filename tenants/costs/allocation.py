"""Whose is what was spent: the allocation rule, as a pure function over cost entries.

| spent on | is |
|---|---|
| metered work (`job`) | its job's tenant and class: *direct* |
| work done again (`retry`) | the tenant's where the tenant caused it, else its class's alone |
| waiting and start-up of a reserved worker | its reserver's |
| waiting and start-up up to planned utilisation | classes': by use, or at a committed pool's peak |
| waiting and start-up beyond it | nobody's: *strategic idle*, a cost of the company |
| overhead | by its driver, at planned volume; what is not absorbed is the company's |

Nothing is lost: shares and strategic idle sum to the total to the last of 18 decimals. Idle time
beyond the plan never reaches a unit, so that less volume does not raise what a unit costs (the
standard-costing remedy for the death spiral: Kaplan and Cooper, Cost & Effect, 1998, chapter 7).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from tenants.costs.rates import AMOUNT_DECIMALS, EXACT
from tenants.kernel.errors import InvalidInput

ATTOS = 10**AMOUNT_DECIMALS  # amounts are summed and split as whole numbers of these
MICROSECONDS = 10**6
HOUR = dt.timedelta(hours=1)
_US = dt.timedelta(microseconds=1)

Component = Literal["direct", "retry", "idle", "reserved", "overhead"]


@dataclass(frozen=True, slots=True)
class Who:
    """Whom a share is for: a tenant, a class of work (kind, base, method), or both."""

    tenant_id: str = ""
    kind: str = ""
    base: str = ""
    method: str = ""

    @property
    def work(self) -> Who:
        """The class of work alone."""
        return Who(kind=self.kind, base=self.base, method=self.method)


@dataclass(frozen=True, slots=True)
class Spent:
    """One cost entry as the rule sees it; `pool` is its resource."""

    pool: str
    worker: str
    purpose: str
    started_at: dt.datetime
    ended_at: dt.datetime
    amount: Decimal
    who: Who = field(default_factory=Who)
    caused_by_tenant: bool = False  # a retry: whether the tenant's doing made it necessary


@dataclass(frozen=True)
class Overhead:
    """`amount` of a period, absorbed over `planned` units of its driver.

    Drivers: slot-seconds of work, or jobs' direct cost.
    """

    name: str
    amount: Decimal
    driver: Literal["seconds", "direct"]
    planned: Decimal

    def __post_init__(self) -> None:
        if self.amount < 0:
            raise InvalidInput(f"the overhead {self.name} is below 0", param="amount")
        if self.planned <= 0:
            raise InvalidInput(f"plan a volume above 0 for {self.name}", param="planned")


@dataclass(frozen=True)
class Terms:
    """The choices in the rule. `reserved` names workers' reservers, `committed` shared pools."""

    planned_utilisation: Decimal = Decimal("0.70")
    committed: frozenset[str] = frozenset()
    reserved: Mapping[str, str] = field(default_factory=dict)
    overheads: Sequence[Overhead] = ()

    def __post_init__(self) -> None:
        if not 0 < self.planned_utilisation <= 1:
            raise InvalidInput(
                "planned utilisation is a share above 0 and at most 1",
                param="planned_utilisation",
            )


@dataclass(frozen=True)
class Allocation:
    """`shares` + `strategic` = `total`, exactly. Strategic idle is by pool or overhead."""

    total: Decimal
    shares: Mapping[tuple[Who, Component], Decimal]
    strategic: Mapping[str, Decimal]

    @property
    def allocated(self) -> Decimal:
        return sum_exact(self.shares.values())

    @property
    def strategic_idle(self) -> Decimal:
        return sum_exact(self.strategic.values())


@dataclass
class _Pool:
    """What a pool's entries add up to; time in microseconds, money in attos."""

    busy: dict[Who, int] = field(default_factory=lambda: defaultdict(int))
    hours: dict[dt.datetime, dict[Who, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )
    idle: int = 0
    idle_time: int = 0


def allocate(entries: Iterable[Spent], terms: Terms) -> Allocation:
    """Apply the rule to a period's entries."""
    shares: dict[tuple[Who, Component], int] = defaultdict(int)
    pools: dict[str, _Pool] = defaultdict(_Pool)
    total = 0
    for entry in entries:
        amount = attos(entry.amount)
        total += amount
        _enter(entry, amount, pools[entry.pool], shares, terms)
    strategic: dict[str, int] = {}
    for name, pool in sorted(pools.items()):
        planned = _planned_idle(pool, terms.planned_utilisation)
        weights = _weights(pool, peak=name in terms.committed)
        for who, amount in apportion(planned, weights).items():
            shares[who, "idle"] += amount
        strategic[name] = pool.idle - planned
    for overhead in terms.overheads:
        total += attos(overhead.amount)
        absorbed, weights = _absorbed(overhead, pools, shares)
        for who, amount in apportion(absorbed, weights).items():
            shares[who, "overhead"] += amount
        left = attos(overhead.amount) - absorbed
        strategic[overhead.name] = strategic.get(overhead.name, 0) + left
    return Allocation(
        total=money(total),
        shares={key: money(amount) for key, amount in shares.items() if amount},
        strategic={name: money(amount) for name, amount in strategic.items()},
    )


def apportion(amount: int, weights: Mapping[Who, int]) -> dict[Who, int]:
    """Split a whole number by weights, by cumulative rounding down: the parts sum to it."""
    whole = sum(weights.values())
    parts: dict[Who, int] = {}
    done = given = 0
    for who, weight in weights.items():
        done += weight
        reached = amount * done // whole
        parts[who] = reached - given
        given = reached
    return parts


def attos(amount: Decimal) -> int:
    """An amount of at most 18 decimals as a whole number."""
    return int(EXACT.multiply(amount, Decimal(ATTOS)))


def money(amount: int) -> Decimal:
    return EXACT.scaleb(Decimal(amount), -AMOUNT_DECIMALS)


def sum_exact(amounts: Iterable[Decimal]) -> Decimal:
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def _enter(
    entry: Spent,
    amount: int,
    pool: _Pool,
    shares: dict[tuple[Who, Component], int],
    terms: Terms,
) -> None:
    time = (entry.ended_at - entry.started_at) // _US
    if entry.purpose in {"idle", "startup"}:
        if reserver := terms.reserved.get(entry.worker):
            shares[Who(tenant_id=reserver), "reserved"] += amount
        else:
            pool.idle += amount
            pool.idle_time += time
        return
    retry = entry.purpose == "retry"
    who = entry.who.work if retry and not entry.caused_by_tenant else entry.who
    shares[who, "retry" if retry else "direct"] += amount
    pool.busy[who] += time
    if entry.pool in terms.committed:
        for hour, part in _by_hour(entry.started_at, entry.ended_at):
            pool.hours[hour][who.work] += part


def _by_hour(start: dt.datetime, end: dt.datetime) -> Iterator[tuple[dt.datetime, int]]:
    hour = start.replace(minute=0, second=0, microsecond=0)
    while hour < end:
        yield hour, (min(end, hour + HOUR) - max(start, hour)) // _US
        hour += HOUR


def _planned_idle(pool: _Pool, utilisation: Decimal) -> int:
    """The idle money that the plan grants for the work done: busy x (1 - u) / u of idle time."""
    busy = sum(pool.busy.values())
    if not pool.idle_time or not busy:
        return 0
    numerator, denominator = utilisation.as_integer_ratio()
    granted = busy * (denominator - numerator)
    return pool.idle * min(granted, pool.idle_time * numerator) // (pool.idle_time * numerator)


def _weights(pool: _Pool, *, peak: bool) -> dict[Who, int]:
    """Busy time; in a committed pool, a class's part at the peak hour, by use within the class."""
    if not peak or not pool.hours:
        return pool.busy
    top = max(pool.hours.values(), key=lambda hour: sum(hour.values()))
    within: dict[Who, int] = defaultdict(int)
    for who, time in pool.busy.items():
        within[who.work] += time
    weights: dict[Who, int] = {}
    for work, part in top.items():
        members = {who: time for who, time in pool.busy.items() if who.work == work}
        weights |= {who: part * ATTOS * time // within[work] for who, time in members.items()}
    return weights


def _absorbed(
    overhead: Overhead,
    pools: Mapping[str, _Pool],
    shares: Mapping[tuple[Who, Component], int],
) -> tuple[int, dict[Who, int]]:
    """What of an overhead the period's volume takes, at most all of it, and by what weights."""
    weights: dict[Who, int] = defaultdict(int)
    if overhead.driver == "seconds":
        for pool in pools.values():
            for who, time in pool.busy.items():
                weights[who] += time
        planned = max(1, int(overhead.planned * MICROSECONDS))
    else:
        for (who, component), amount in shares.items():
            if component == "direct":
                weights[who] += amount
        planned = attos(overhead.planned)
    amount, volume = attos(overhead.amount), sum(weights.values())
    return (amount * min(volume, planned) // planned if volume else 0), weights
