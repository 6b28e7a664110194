"""Models kept awake for nobody: sleeping sooner costs less than it makes callers wait.

Keeping warm is rent, waking is a purchase: whoever sleeps after as long as a wake is worth pays at
most twice what a clairvoyant would (Karlin et al., Competitive snoopy caching, 1988). So that time,
and those that people choose, are tried on the uses that were seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from workers.waste.facts import Deployment, Facts, Price, Target, Terms
from workers.waste.findings import CENTS, Finding, exact, figure
from workers.waste.serving_time import NOTHING, awake

KIND = "idle_deployment"
SHORTEST_S = 60.0  # uses are seen by the minute
USUAL_S = (SHORTEST_S, 300.0, 900.0, 3600.0)


def find(facts: Facts, terms: Terms) -> Iterator[Finding]:
    for target in facts.targets:
        price = facts.prices[target.resource]
        if target.load_s is None or not target.deployments or not price.saved:
            continue
        sooner = _sooner(target, price, facts.seconds, terms)
        if not sooner:
            continue
        before = net_cost(target, price, facts.seconds)
        after = net_cost(target, price, facts.seconds, sooner)
        saving = (before - after) / exact(facts.months)
        if saving >= terms.worth:
            yield _finding(target, sooner, saving.quantize(CENTS), facts.seconds)


def apply(facts: Facts, finding: Finding) -> Facts:
    """The facts as they would be with the deployments set so."""
    sooner = finding.arguments["sleep_after_s"]

    def changed(target: Target) -> Target:
        if target.id != finding.subject:
            return target
        deployments = tuple(
            replace(each, sleep_after_s=sooner.get(each.id, each.sleep_after_s))
            for each in target.deployments
        )
        return replace(target, deployments=deployments)

    return replace(facts, targets=tuple(map(changed, facts.targets)))


def net_cost(
    target: Target, price: Price, until: float, sleep: Mapping[str, float] = NOTHING
) -> Decimal:
    """What its replicas cost us in the stretch, less the rent that tenants pay for them."""
    whole = awake(target.deployments, until, sleep)
    slots = whole.seconds * target.held + whole.wakes * (target.load_s or 0.0)
    rents = sum((_rent(each, until, sleep) for each in target.deployments), Decimal(0))
    return exact(slots) * price.saved - rents


def _rent(deployment: Deployment, until: float, sleep: Mapping[str, float]) -> Decimal:
    if not deployment.rent:
        return Decimal(0)
    return deployment.rent * exact(awake([deployment], until, sleep).seconds / 3600)


def _sooner(target: Target, price: Price, until: float, terms: Terms) -> dict[str, float]:
    """The deployments that should sleep sooner, and after how many seconds."""
    load_s = exact(target.load_s or 0.0)
    worth_s = float(load_s * (price.saved + terms.wait) / price.saved)
    tries = sorted({*USUAL_S, max(SHORTEST_S, worth_s)})

    def whole(target: Target, sleep: Mapping[str, float]) -> Decimal:
        waits = awake(target.deployments, until, sleep).wakes * load_s * terms.wait
        return net_cost(target, price, until, sleep) + waits

    chosen: dict[str, float] = {}
    for each in target.deployments:
        alone = replace(target, deployments=(each,))
        costs = {s: whole(alone, {each.id: s}) for s in tries if s < each.sleep_after_s}
        if costs and min(costs.values()) < whole(alone, NOTHING):
            chosen[each.id] = min(costs, key=lambda s: (costs[s], -s))
    for name in list(chosen):  # what changes nothing beside the others stays as it is
        without = {other: s for other, s in chosen.items() if other != name}
        if whole(target, without) <= whole(target, chosen):
            chosen = without
    return chosen


def _finding(target: Target, sooner: Mapping[str, float], saving: Decimal, until: float) -> Finding:
    before = awake(target.deployments, until)
    after = awake(target.deployments, until, sooner)
    owners = {each.tenant_id for each in target.deployments if each.id in sooner}
    last = max((each.uses[-1][1] for each in target.deployments if each.uses), default=0.0)
    return Finding(
        kind=KIND,
        subject=target.id,
        saving=saving,
        action="sleep",
        tenant_id=owners.pop() if len(owners) == 1 else "",
        arguments={"sleep_after_s": {name: round(s) for name, s in sooner.items()}},
        evidence={
            "resource": target.resource,
            "awake_hours": figure(before.seconds / 3600),
            "awake_hours_after": figure(after.seconds / 3600),
            "wakes": before.wakes,
            "wakes_after": after.wakes,
            "load_s": figure(target.load_s or 0.0),
            "unused_for_hours": figure((until - last) / 3600),
        },
    )
