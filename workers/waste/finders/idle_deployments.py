"""Models kept awake for nobody: sleeping sooner costs less than it makes callers wait.

Keeping warm is rent, waking is a purchase: whoever sleeps after as long as a wake is worth pays at
most twice what a clairvoyant would (Karlin et al., Competitive snoopy caching, 1988). So that time,
and those that people choose, are tried on the uses that were seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from workers.waste.facts import Deployment, Facts, Price, Target, Terms
from workers.waste.findings import CENTS, Finding, exact, figure
from workers.waste.serving_time import awake, union, wanted

KIND = "idle_deployment"
SHORTEST_S = 10.0  # that a deployment may be set to
USUAL_S = (SHORTEST_S, 60.0, 300.0, 900.0, 3600.0)


def find(facts: Facts, terms: Terms) -> Iterator[Finding]:
    for target in facts.targets:
        price = facts.prices[target.resource]
        if target.load_s is None or not target.deployments:
            continue
        sooner = _sooner(target, price, facts.seconds, terms)
        if not sooner:
            continue
        before = net_cost(target, target.deployments, price, facts.seconds)
        changed = _set(target.deployments, sooner)
        after = net_cost(target, changed, price, facts.seconds)
        saving = (before - after) / exact(facts.months)
        if saving >= terms.worth:
            yield _finding(target, changed, sooner, saving.quantize(CENTS), facts)


def apply(facts: Facts, finding: Finding) -> Facts:
    """The facts as they would be with the deployments set so."""
    sooner = finding.arguments["sleep_after_s"]
    targets = tuple(
        replace(t, deployments=_set(t.deployments, sooner)) if t.id == finding.subject else t
        for t in facts.targets
    )
    return replace(facts, targets=targets)


def net_cost(
    target: Target, deployments: Sequence[Deployment], price: Price, until: float
) -> Decimal:
    """What its replicas cost us in the stretch, less the rent that tenants pay for them."""
    whole = awake(deployments, until)
    slots = whole.seconds * max(target.held, 1.0) + whole.wakes * (target.load_s or 0.0)
    return exact(slots) * price.saved - _rents(deployments, until)


def _rents(deployments: Sequence[Deployment], until: float) -> Decimal:
    rents = Decimal(0)
    for each in deployments:
        if each.rent:
            own = union(list(wanted(each, until)))
            rents += each.rent * exact(sum(end - begin for begin, end in own) / 3600)
    return rents


def _sooner(target: Target, price: Price, until: float, terms: Terms) -> dict[str, float]:
    """The deployments that should sleep sooner, and after how many seconds."""
    load_s = exact(target.load_s or 0.0)
    wake = load_s * (price.saved + terms.wait)
    if not price.saved:
        return {}

    def whole(deployments: Sequence[Deployment]) -> Decimal:
        wakes = awake(deployments, until).wakes
        waits = wakes * load_s * terms.wait
        return net_cost(target, deployments, price, until) + waits

    tries = sorted({*USUAL_S, max(SHORTEST_S, float(wake / price.saved))})
    chosen: dict[str, float] = {}
    for each in target.deployments:
        alone = {
            s: whole([replace(each, sleep_after_s=s)]) for s in tries if s < each.sleep_after_s
        }
        if alone and min(alone.values()) < whole([each]):
            chosen[each.id] = min(alone, key=lambda s: (alone[s], -s))
    for name in list(chosen):  # what changes nothing beside the others stays as it is
        without = {other: s for other, s in chosen.items() if other != name}
        both = whole(_set(target.deployments, chosen))
        if whole(_set(target.deployments, without)) <= both:
            chosen = without
    return chosen


def _set(deployments: Sequence[Deployment], sooner: Mapping[str, float]) -> tuple[Deployment, ...]:
    return tuple(
        replace(each, sleep_after_s=sooner.get(each.id, each.sleep_after_s)) for each in deployments
    )


def _finding(
    target: Target,
    changed: Sequence[Deployment],
    sooner: Mapping[str, float],
    saving: Decimal,
    facts: Facts,
) -> Finding:
    before, after = awake(target.deployments, facts.seconds), awake(changed, facts.seconds)
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
            "unused_for_hours": figure((facts.seconds - last) / 3600),
        },
    )
