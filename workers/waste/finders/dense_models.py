"""Models served dense whose smaller version, measured within its quality bound, needs less.

A smaller model frees replicas beyond the first; one that is kept awake costs the same, however
fast it answers.
"""

from __future__ import annotations

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
        return replace(_shrunk(target, finding.arguments["time"]), compressed=())

    return replace(facts, targets=tuple(map(smaller, facts.targets)))


def _shrunk(target: Target, time: float) -> Target:
    """With each token taking `time` as long.

    Replicas come whole: of h that were there, h - 1/2 had work to do, and half of one is added
    again on average.
    """
    holding = tuple(
        Level(max(1.0, (level.need - 0.5) * time + 0.5), level.seconds) for level in target.holding
    )
    levels = tuple(Level(level.need * time, level.seconds) for level in target.levels)
    return replace(target, holding=holding, levels=levels)


def _saving(facts: Facts, target: Target, found: Compressed) -> Decimal:
    seconds = awake(target.deployments, facts.seconds).seconds
    slots = seconds * (target.held - _shrunk(target, found.time).held) / facts.months
    return exact(slots) * facts.prices[target.resource].saved


def _net(facts: Facts, target: Target, found: Compressed, terms: Terms) -> Decimal:
    """The saving a month, less the cost of making the model over the time it must come back in."""
    return _saving(facts, target, found) - found.making / exact(terms.horizon_months)
