"""The month's bill by the facts, and what all actions together would make of it. Pure.

Savings overlap (a model that sleeps needs no smaller version), so they are never summed: each
action is done to the facts in turn, and the bills before and after are compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from workers.waste.facts import Facts, Pool, Stored, Terms, Work
from workers.waste.finders import FINDERS
from workers.waste.finders.idle_deployments import net_cost
from workers.waste.findings import CENTS, Finding, exact


def findings_of(facts: Facts, terms: Terms) -> list[Finding]:
    """What all finders find, the dearest first."""
    found = [finding for finder in FINDERS.values() for finding in finder.find(facts, terms)]
    return sorted(found, key=lambda finding: (-finding.saving, finding.kind, finding.subject))


def joint_saving(facts: Facts, findings: Iterable[Finding]) -> Decimal:
    """USD a month that doing all of it would save."""
    by_kind: dict[str, list[Finding]] = {kind: [] for kind in FINDERS}
    for finding in findings:
        by_kind[finding.kind].append(finding)
    after = facts
    for kind, members in by_kind.items():
        for finding in members:
            after = FINDERS[kind].apply(after, finding)
    return (monthly_bill(facts) - monthly_bill(after)).quantize(CENTS)


def monthly_bill(facts: Facts) -> Decimal:
    """What can be saved of a month's cost, less what tenants pay for being kept warm or stored."""
    serving = sum(
        (
            net_cost(target, facts.prices[target.resource], facts.seconds)
            for target in facts.targets
        ),
        Decimal(0),
    )
    work = sum((_work(facts, each) for each in facts.work), Decimal(0))
    pools = sum((_pool(facts, pool) for pool in facts.pools), Decimal(0))
    stored = sum((_stored(facts, each) for each in (*facts.versions, *facts.files)), Decimal(0))
    return (serving + work + pools) / exact(facts.months) + stored


def _work(facts: Facts, work: Work) -> Decimal:
    price = facts.prices[work.resource]
    rate = price.saved
    if not work.on_demand and price.spot is not None:
        rate = price.spot.price
    return exact(work.slot_s) * rate


def _pool(facts: Facts, pool: Pool) -> Decimal:
    """Time that its slots wait or work again; the work itself is counted with the work."""
    saved = facts.prices[pool.resource].saved
    again_s = sum(worker.lost * worker.redo_s for worker in pool.workers)
    return exact(pool.slots * facts.seconds + again_s) * saved


def _stored(facts: Facts, each: Stored) -> Decimal:
    return exact(each.gigabytes) * facts.gigabyte_month - each.paid
