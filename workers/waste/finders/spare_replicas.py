"""More replicas of a model than its tokens needed, weighed against the hours in which they did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from workers.waste.facts import Facts, Level, Target, Terms
from workers.waste.findings import CENTS, Finding, exact, figure
from workers.waste.levels import cheapest_level
from workers.waste.serving_time import awake

KIND = "spare_replicas"


def find(facts: Facts, terms: Terms) -> Iterator[Finding]:
    for target in facts.targets:
        keep = max(1, _keep(target, terms))
        if keep >= target.limit or not target.holding:
            continue
        saving = _saving(facts, target, keep)
        if saving >= terms.worth:
            yield Finding(
                kind=KIND,
                subject=target.id,
                saving=saving.quantize(CENTS),
                action="resize",
                tenant_id=target.tenant_id,
                arguments={"max_replicas": keep},
                evidence={
                    "resource": target.resource,
                    "replicas_on_average": figure(target.held),
                    "limit": target.limit,
                    "needed_at_peak": figure(max(level.need for level in target.levels)),
                },
            )


def apply(facts: Facts, finding: Finding) -> Facts:
    """The facts as they would be with that limit."""
    keep = finding.arguments["max_replicas"]
    targets = tuple(_capped(t, keep) if t.id == finding.subject else t for t in facts.targets)
    return replace(facts, targets=targets)


def _capped(target: Target, keep: int) -> Target:
    holding = tuple(Level(min(level.need, keep), level.seconds) for level in target.holding)
    return replace(target, holding=holding, limit=keep)


def _keep(target: Target, terms: Terms) -> int:
    return cheapest_level(
        target.levels, held=target.limit, unknown_s=target.unknown_s, shortage=terms.shortage
    )


def _saving(facts: Facts, target: Target, keep: int) -> Decimal:
    seconds = awake(target.deployments, facts.seconds).seconds
    slots = seconds * (target.held - _capped(target, keep).held) / facts.months
    return exact(slots) * facts.prices[target.resource].saved
