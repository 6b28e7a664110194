"""How well findings fit the truth: by count and by money, with the lower bounds of both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.workers.waste.world.jobs import Streams, streams
from tests.workers.waste.world.pools import Fleets, Machines, fleets, machines
from tests.workers.waste.world.scene import (
    INTERRUPTIONS_PER_HOUR,
    RATES,
    RESTART_S,
    SECONDS,
    SPOT,
    STORAGE,
    Done,
    Key,
    Scene,
)
from tests.workers.waste.world.serving import Serving, busy_models, sleeping_models
from tests.workers.waste.world.stores import Shelves, history, shelves
from workers.waste.facts import Facts, Price, Spot
from workers.waste.findings import Finding, exact


@dataclass(frozen=True)
class Score:
    """Of one kind of waste: how many leaked, and shares found and right, each with its bound."""

    positives: int
    precision: float
    recall: float
    precision_low: float
    recall_low: float
    money_precision_low: float
    money_recall_low: float


class World:
    """All scenes of a month."""

    def __init__(self, seed: int, size: int) -> None:
        rng = np.random.default_rng(seed)
        self.scenes: list[Scene] = [
            Serving(rng, sleeping_models(rng, size * 5 // 2)),
            Serving(rng, busy_models(rng, size * 5 // 2)),
            Fleets(rng, fleets(rng, size * 2)),
            Machines(rng, machines(rng, max(2, size * 6 // 5))),
            Streams(rng, streams(rng, size * 4)),
            Shelves(
                rng,
                shelves(rng, size * 5),
                {"versions": history(rng), "files": history(rng)},
            ),
        ]

    def facts(self) -> Facts:
        parts: dict[str, tuple[object, ...]] = {}
        for scene in self.scenes:
            for name, rows in scene.telemetry().items():
                parts[name] = (*parts.get(name, ()), *rows)
        return Facts(SECONDS, self._prices(), exact(STORAGE), **parts)  # type: ignore[arg-type]

    def truth(self) -> dict[Key, float]:
        return {key: money for scene in self.scenes for key, money in scene.truth().items()}

    def saved(self, findings: Sequence[Finding]) -> float:
        """What the bill falls by when all of it is done."""
        done: Done = {(f.kind, f.subject): f for f in findings}
        return sum(scene.bill({}) - scene.bill(done) for scene in self.scenes)

    def _prices(self) -> dict[str, Price]:
        spot = Spot(exact(SPOT), INTERRUPTIONS_PER_HOUR, RESTART_S)
        prices = {name: Price(exact(rate)) for name, rate in RATES.items()}
        prices["worker.gpu"] = Price(exact(RATES["worker.gpu"]), spot=spot)
        prices["worker.owned"] = Price(exact(RATES["worker.owned"]), exact(0.0))
        for scene in self.scenes:
            for fleet in getattr(scene, "fleets", []):
                avoidable = exact(0.0 if fleet.cause == "owned" else 1.0)
                prices[fleet.resource] = Price(exact(RATES["worker.gpu"]), avoidable)
            for number in range(len(getattr(scene, "groups", []))):
                prices[f"worker.machines{number}"] = Price(exact(RATES["worker.gpu"]))
        return prices


def scores(findings: Sequence[Finding], truth: Mapping[Key, float]) -> dict[str, Score]:
    kinds = sorted({kind for kind, _ in truth} | {finding.kind for finding in findings})
    return {kind: _score(kind, findings, truth) for kind in kinds}


def _score(kind: str, findings: Sequence[Finding], truth: Mapping[Key, float]) -> Score:
    real = {subject: money for (k, subject), money in truth.items() if k == kind}
    told = {f.subject: float(f.saving) for f in findings if f.kind == kind}
    right = [subject in real for subject in told]
    found = [subject in told for subject in real]
    return Score(
        positives=len(real),
        precision=sum(right) / max(len(right), 1),
        recall=sum(found) / max(len(found), 1),
        precision_low=wilson_low(right, [1.0] * len(right)),
        recall_low=wilson_low(found, [1.0] * len(found)),
        money_precision_low=wilson_low(right, list(told.values())),
        money_recall_low=wilson_low(found, list(real.values())),
    )


def wilson_low(hits: Sequence[bool], weights: Sequence[float]) -> float:
    """The lower 95% bound of a weighted share, with Kish's effective number of trials."""
    if not hits:
        return 0.0
    total = sum(weights)
    share = sum(w for hit, w in zip(hits, weights, strict=True) if hit) / total
    trials = total**2 / sum(w * w for w in weights)
    z = 1.96
    middle = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    return (middle - half) / (1 + z * z / trials)
