"""What lies in storage: forgotten for good, wanted again some day, or paid for by its tenant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.workers.waste.world.scene import FALLS, STORAGE, Done, Key
from workers.waste.facts import Spell, Stored
from workers.waste.findings import exact

Generator = np.random.Generator
DAY = 86400.0
KINDS = {"versions": "orphan_versions", "files": "unused_files"}


@dataclass(frozen=True)
class Thing:
    """`wanted`: whether a use comes within the month that follows; then it must be made again."""

    id: str
    gigabytes: float
    idle_s: float
    wanted: bool
    remake: float
    paid: float


@dataclass(frozen=True)
class Shelf:
    """A tenant's things of a kind."""

    id: str
    kind: str  # versions, files
    things: list[Thing]
    cause: str


class Shelves:
    def __init__(self, generator: Generator, shelves: list[Shelf], spells: dict[str, Any]) -> None:
        self.generator, self.shelves, self.spells = generator, shelves, spells

    def bill(self, done: Done) -> float:
        total = 0.0
        for shelf in self.shelves:
            finding = done.get((KINDS[shelf.kind], shelf.id))
            gone = set(finding.arguments["ids"]) if finding else set()
            total += sum(
                (thing.remake if thing.wanted else 0.0)
                if thing.id in gone
                else thing.gigabytes * STORAGE - thing.paid
                for thing in shelf.things
            )
        return total

    def truth(self) -> dict[Key, float]:
        """Without what is rather not wanted again: on average over what could have happened."""
        found = {}
        for shelf in self.shelves:
            saved = sum(
                max(0.0, t.gigabytes * STORAGE - t.paid - wanted_within_month(t.idle_s) * t.remake)
                for t in shelf.things
            )
            if saved > FALLS:
                found[KINDS[shelf.kind], shelf.id] = saved
        return found

    def telemetry(self) -> dict[str, tuple[Any, ...]]:
        rng = self.generator
        parts: dict[str, list[Stored]] = {kind: [] for kind in KINDS}
        for shelf in self.shelves:
            for thing in shelf.things:
                if rng.random() < 0.01:  # its last use was never written down: not judged
                    continue
                known = shelf.kind == "versions"
                remake = exact(thing.remake * float(rng.normal(1, 0.1))) if known else None
                parts[shelf.kind].append(
                    Stored(
                        thing.id, shelf.id, thing.gigabytes, thing.idle_s, remake, exact(thing.paid)
                    )
                )
        return {
            "versions": tuple(parts["versions"]),
            "files": tuple(parts["files"]),
            "version_spells": tuple(self.spells["versions"]),
            "file_spells": tuple(self.spells["files"]),
        }


SOON, RARE = 0.7, 0.003  # shares of pauses that end within days, and after months


def history(rng: Generator, count: int = 4000) -> list[Spell]:
    """A year of pauses: most end within days, hardly any after two months, the rest never."""
    spells = []
    for kind in rng.choice(3, size=count, p=[SOON, RARE, 1 - SOON - RARE]):
        if kind == 0:
            spells.append(Spell(float(rng.exponential(6 * DAY)), used_again=True))
        elif kind == 1:
            spells.append(Spell(float(rng.uniform(60, 300) * DAY), used_again=True))
        else:
            spells.append(Spell(float(rng.uniform(1, 365) * DAY), used_again=False))
    return spells


def wanted_within_month(idle_s: float) -> float:
    """The true chance, from the same law."""
    days = idle_s / DAY
    soon = SOON * math.exp(-days / 6)
    ends = soon * (1 - math.exp(-30 / 6))
    late = RARE * min(1.0, max(0.0, (300 - days) / 240))
    if days >= 30:
        ends += RARE * max(0.0, min(days + 30, 300) - max(days, 60)) / 240
    return ends / (soon + late + 1 - SOON - RARE)


def shelves(rng: Generator, count: int) -> list[Shelf]:
    made = []
    for number in range(count):
        kind = ("versions", "files")[number % 2]
        cause = ("forgotten", "fresh", "paid", "small", "costly")[
            rng.choice(5, p=[0.5, 0.2, 0.1, 0.1, 0.1])
        ]
        things = []
        for index in range(int(rng.integers(5, 40))):
            big = kind == "versions"
            gigabytes = float(rng.lognormal(3.0 if big else 4.0, 0.8))
            if cause == "small":
                gigabytes = 0.01
            idle = float(rng.uniform(100, 300) if cause != "fresh" else rng.uniform(0, 8)) * DAY
            wanted = bool(rng.random() < wanted_within_month(idle))
            remake = float(rng.uniform(5, 40)) if big else 20.0
            if cause == "costly":  # weeks of training, or many terabytes that took days to send
                remake *= 5000 if big else 1.0
                gigabytes = gigabytes if big else 1.0
            paid = gigabytes * STORAGE * 1.3 if cause == "paid" else 0.0
            things.append(Thing(f"{kind}{number}-{index}", gigabytes, idle, wanted, remake, paid))
        made.append(Shelf(f"{kind}-t{number}", kind, things, cause))
    return made
