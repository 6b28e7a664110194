"""Models served dense whose smaller version, measured within its quality bound, needs less.

A smaller model frees replicas beyond the first; one that is kept awake costs the same, however
fast it answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from workers.waste.facts import Compressed, Facts, Level, Target, Terms
from workers.waste.findings import CENTS, Finding, exact, figure
from workers.waste.serving_time import awake

KIND = "dense_models"


def find(facts: Facts, terms: Terms) -> Iterator[Finding]:
    for target in facts.targets:
        if not target.compressed:
            continue
        best = max(target.compressed, key=lambda c: _net(facts, target, c, terms))
        saving = _saving(facts, target, best)
        if _net(facts, target, best, terms) >= terms.worth:
            yield Finding(
                kind=KIND,
                subject=target.id,
                saving=saving.quantize(CENTS),
                action="propose_compression",
                tenant_id=target.tenant_id,
                arguments={"time": figure(best.time)},
                evidence={
                    "resource": target.resource,
                    "replicas_on_average": figure(target.held),
                    "time_of_dense": figure(best.time),
                    "making": f"{best.making.quantize(CENTS)}",
                },
            )


def apply(facts: Facts, finding: Finding) -> Facts:
    """The facts as they would be with the smaller model."""

    def smaller(target: Target) -> Target:
        if target.id != finding.subject:
            return target
        time = finding.arguments["time"]
        levels = tuple(Level(level.need * time, level.seconds) for level in target.levels)
        return replace(target, levels=levels, held=_held(target, time), compressed=())

    return replace(facts, targets=tuple(map(smaller, facts.targets)))


def _held(target: Target, time: float) -> float:
    """Replicas on average, with each token taking `time` as long.

    They follow the load by a factor of their own (clients that read slowly hold more), and come
    whole.
    """
    total = sum(level.seconds for level in target.levels)
    load = sum(level.need * level.seconds for level in target.levels)
    if not total or not load:
        return target.held
    factor = max(target.held - 0.5, 0.0) / (load / total)

    def replicas(share: float) -> float:
        each = ((max(1, math.ceil(lv.need * factor * share)), lv.seconds) for lv in target.levels)
        return sum(number * seconds for number, seconds in each) / total

    return max(1.0, target.held * replicas(time) / replicas(1.0))


def _saving(facts: Facts, target: Target, found: Compressed) -> Decimal:
    seconds = awake(target.deployments, facts.seconds).seconds
    slots = seconds * (target.held - _held(target, found.time)) / facts.months
    return exact(slots) * facts.prices[target.resource].saved


def _net(facts: Facts, target: Target, found: Compressed, terms: Terms) -> Decimal:
    """The saving a month, less the cost of making the model over the time it must come back in."""
    return _saving(facts, target, found) - found.making / exact(terms.horizon_months)
