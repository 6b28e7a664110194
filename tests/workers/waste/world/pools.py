"""Classes of workers with a queue before them, and machines among them that fail."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.workers.waste.world.scene import FALLS, RATES, SECONDS, Done, Key
from workers.waste.facts import Level, Pool, Worker

Generator = np.random.Generator
LONGEST_WAIT_S = 150.0  # that one job in a hundred may have


@dataclass
class Fleet:
    id: str
    resource: str
    sizes: list[int]  # slots of each worker
    starts: Any
    lengths: Any
    cause: str = ""

    @property
    def slots(self) -> int:
        return sum(self.sizes)


def waits(fleet: Fleet, slots: int) -> Any:
    """How long each job waits for the first of `slots` that comes free."""
    free = [0.0] * slots
    heapq.heapify(free)
    found = np.empty(len(fleet.starts))
    for number, (start, length) in enumerate(zip(fleet.starts, fleet.lengths, strict=True)):
        begins = max(start, heapq.heappop(free))
        found[number] = begins - start
        heapq.heappush(free, begins + length)
    return found


class Fleets:
    """Whole machines too many: bought for a peak that never came, or kept after one."""

    def __init__(self, generator: Generator, fleets: list[Fleet]) -> None:
        self.generator, self.fleets = generator, fleets

    def bill(self, done: Done) -> float:
        total = 0.0
        for fleet in self.fleets:
            drained = done.get(("idle_workers", fleet.resource))
            gone = set(drained.arguments["workers"]) if drained else set()
            kept = [n for i, n in enumerate(fleet.sizes) if f"{fleet.id}-w{i}" not in gone]
            total += self._month(fleet, sum(kept))
        return total

    def _month(self, fleet: Fleet, slots: int) -> float:
        return 0.0 if fleet.cause == "owned" else RATES["worker.gpu"] * SECONDS * slots

    def truth(self) -> dict[Key, float]:
        found: dict[Key, float] = {}
        for fleet in self.fleets:
            slots, smallest = fleet.slots, min(fleet.sizes)
            spare = 0
            while slots - spare - smallest > 0 and self._holds(fleet, slots - spare - smallest):
                spare += smallest
            saved = self._month(fleet, slots) - self._month(fleet, slots - spare)
            if saved > FALLS:
                found["idle_workers", fleet.resource] = saved
        return found

    def _holds(self, fleet: Fleet, slots: int) -> bool:
        return float(np.quantile(waits(fleet, slots), 0.99)) <= LONGEST_WAIT_S

    def telemetry(self) -> dict[str, tuple[Any, ...]]:
        return {"pools": tuple(self._seen(fleet) for fleet in self.fleets)}

    def _seen(self, fleet: Fleet) -> Pool:
        waited = waits(fleet, fleet.slots)
        ends = fleet.starts + waited + fleet.lengths
        moments = np.concatenate([fleet.starts, ends])
        change = np.concatenate([np.ones(len(ends)), -np.ones(len(ends))])
        order = np.argsort(moments, kind="stable")
        moments, needed = moments[order], np.cumsum(change[order])
        seconds = np.diff(np.append(moments, SECONDS))
        heard = self.generator.random(len(seconds)) > 0.003
        spent: dict[int, float] = {}
        for need, lasts in zip(needed[heard], seconds[heard], strict=True):
            spent[int(need)] = spent.get(int(need), 0.0) + max(float(lasts), 0.0)
        spent[0] = spent.get(0, 0.0) + float(moments[0])
        busy = float(fleet.lengths.sum()) / fleet.slots
        workers = tuple(
            Worker(
                f"{fleet.id}-w{i}", fleet.resource, n, busy * n * self.generator.uniform(0.7, 1.3),
                0, 0.0,
            )
            for i, n in enumerate(fleet.sizes)
        )  # fmt: skip
        return Pool(
            fleet.resource,
            fleet.slots,
            workers,
            tuple(Level(need, lasts) for need, lasts in spent.items()),
            float(np.maximum(seconds[~heard], 0).sum()),
        )


def fleets(rng: Generator, count: int) -> list[Fleet]:
    made = []
    for number in range(count):
        kind = ("surplus", "fit", "month_end", "owned")[rng.choice(4, p=[0.5, 0.2, 0.2, 0.1])]
        per_hour = float(rng.uniform(2, 12))
        count_jobs = rng.poisson(per_hour * 720 * 2)
        moments = np.sort(rng.uniform(0, SECONDS, count_jobs))
        daily = 0.5 + 0.5 * np.sin(2 * np.pi * moments / 86400)
        starts = moments[rng.random(count_jobs) < 0.2 + 0.8 * daily]
        if kind == "month_end":  # quiet for four weeks; the last two days need it all
            late = rng.uniform(SECONDS - 2 * 86400, SECONDS - 7200, int(per_hour * 48 * 4))
            starts = np.sort(np.concatenate([starts, late]))
        lengths = rng.lognormal(np.log(1200), 0.6, len(starts))
        size = int(rng.choice([1, 2, 4]))
        fleet = Fleet(f"fleet{number}", f"worker.pool{number}", [size], starts, lengths, kind)
        while np.quantile(waits(fleet, fleet.slots), 0.99) > LONGEST_WAIT_S:
            fleet.sizes.append(size)
        if kind in {"surplus", "owned"}:
            fleet.sizes += [size] * int(rng.integers(3, 8) if size == 1 else rng.integers(2, 5))
        made.append(fleet)
    return made


@dataclass
class Machine:
    id: str
    work_h: float
    per_hour: float  # how often it really fails
    usual: float
    redo_s: float


class Machines:
    """Bad memory, a bad disk: attempts die on it more often than elsewhere."""

    def __init__(self, generator: Generator, groups: list[list[Machine]]) -> None:
        self.generator, self.groups = generator, groups
        self.lost = {
            machine.id: int(generator.poisson(machine.work_h * machine.per_hour))
            for group in groups
            for machine in group
        }

    def bill(self, done: Done) -> float:
        rate, total = RATES["worker.gpu"], 0.0
        for machine in (m for group in self.groups for m in group):
            hit = machine.work_h * machine.per_hour
            if ("faulty_worker", machine.id) in done:
                hit = machine.work_h * machine.usual
            total += hit * machine.redo_s * rate
        return total

    def truth(self) -> dict[Key, float]:
        """Its work on another machine instead, on average over what could have happened."""
        found = {}
        for machine in (m for group in self.groups for m in group):
            more = machine.work_h * (machine.per_hour - machine.usual)
            saved = more * machine.redo_s * RATES["worker.gpu"]
            if saved > FALLS:
                found["faulty_worker", machine.id] = saved
        return found

    def telemetry(self) -> dict[str, tuple[Any, ...]]:
        pools = []
        for number, group in enumerate(self.groups):
            workers = tuple(
                Worker(
                    m.id, f"worker.machines{number}", 1, m.work_h * 3600, self.lost[m.id],
                    m.redo_s * float(self.generator.normal(1, 0.05)),
                )
                for m in group
            )  # fmt: skip
            full = (Level(float(len(group)), SECONDS),)
            pools.append(Pool(f"worker.machines{number}", len(group), workers, full))
        return {"pools": tuple(pools)}


def machines(rng: Generator, groups: int) -> list[list[Machine]]:
    """Twelve of a kind; in most groups one or two are bad."""
    made = []
    for group in range(groups):
        usual = float(rng.uniform(0.003, 0.02))
        bad = set(rng.choice(12, size=int(rng.integers(0, 3)), replace=False).tolist())
        members = []
        for number in range(12):
            factor = float(rng.uniform(8, 30)) if number in bad else 1.0
            hours = float(rng.uniform(400, 700))
            redo = float(rng.uniform(900, 3600))
            name = f"machine{group}-{number}"
            members.append(Machine(name, hours, max(usual * factor, usual), usual, redo))
        made.append(members)
    return made
