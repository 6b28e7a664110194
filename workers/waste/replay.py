"""The month's bill by the facts, and what actions together would make of it. Pure.

Savings overlap (a model that sleeps needs no smaller version), so they are never summed: each
action is done to the facts in turn, and the bills before and after are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from workers.waste.facts import Facts, Pool, Stored, Target, Terms, Work
from workers.waste.finders import FINDERS
from workers.waste.finders.idle_deployments import net_cost
from workers.waste.findings import CENTS, Finding, exact


def findings_of(facts: Facts, terms: Terms) -> list[Finding]:
    """What all finders find, in the order in which the actions are best done."""
    return [finding for finder in FINDERS.values() for finding in finder.find(facts, terms)]


def savings_beside(facts: Facts, findings: Sequence[Finding]) -> list[Decimal]:
    """What each action saves a month beyond those before it. Their sum is what all of it saves."""
    bill = Bill()
    left, saved = bill.monthly(facts), []
    for finding in findings:
        facts = FINDERS[finding.kind].apply(facts, finding)
        after = bill.monthly(facts)
        saved.append(left - after)
        left = after
    return saved


def joint_saving(facts: Facts, findings: Iterable[Finding]) -> Decimal:
    """USD a month that doing all of it would save."""
    order = {kind: place for place, kind in enumerate(FINDERS)}
    ordered = sorted(findings, key=lambda finding: order[finding.kind])
    return sum(savings_beside(facts, ordered), Decimal(0)).quantize(CENTS)


class Bill:
    """Remembers what each part of the facts costs: an action changes few of them."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Decimal]] = {}  # by identity, which the part here keeps

    def monthly(self, facts: Facts) -> Decimal:
        """What can be saved of a month's cost, less what tenants pay for being kept warm or stored.

        A pool costs what its slots and repeated work do; the work itself is counted with the work.
        """
        months = exact(facts.months)
        running = (
            *(self._cost(facts, target, _target) for target in facts.targets),
            *(self._cost(facts, work, _work) for work in facts.work),
            *(self._cost(facts, pool, _pool) for pool in facts.pools),
        )
        stored = (self._cost(facts, each, _stored) for each in (*facts.versions, *facts.files))
        return sum(running, Decimal(0)) / months + sum(stored, Decimal(0))

    def _cost(self, facts: Facts, part: Any, price: Callable[[Facts, Any], Decimal]) -> Decimal:
        if id(part) not in self._known:
            self._known[id(part)] = (part, price(facts, part))
        return self._known[id(part)][1]


def _target(facts: Facts, target: Target) -> Decimal:
    return net_cost(target, facts.prices[target.resource], facts.seconds)


def _work(facts: Facts, work: Work) -> Decimal:
    price = facts.prices[work.resource]
    full = exact(work.on_demand)
    elsewhere = price.saved if price.spot is None else price.spot.price
    return exact(work.slot_s) * (full * price.saved + (1 - full) * elsewhere)


def _pool(facts: Facts, pool: Pool) -> Decimal:
    again_s = sum(worker.lost * worker.redo_s for worker in pool.workers)
    return exact(pool.slots * facts.seconds + again_s) * facts.prices[pool.resource].saved


def _stored(facts: Facts, each: Stored) -> Decimal:
    return exact(each.gigabytes) * facts.gigabyte_month - each.paid
