"""A class of workers with more slots than its work ever pays for, peaks and waiting jobs included.

Whole workers are let go, so the emptiest that together fit into what is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from workers.waste.facts import Facts, Pool, Terms, Worker
from workers.waste.findings import CENTS, Finding, exact, figure
from workers.waste.levels import cheapest_level

KIND = "idle_workers"


def find(facts: Facts, terms: Terms) -> Iterator[Finding]:
    for pool in facts.pools:
        keep = cheapest_level(
            pool.levels, held=pool.slots, unknown_s=pool.unknown_s, shortage=terms.shortage
        )
        leaving = _leaving(pool, pool.slots - keep)
        slots = sum(worker.slots for worker in leaving)
        month = exact(slots * facts.seconds / facts.months)
        saving = month * facts.prices[pool.resource].saved
        if leaving and saving >= terms.worth:
            busy = sum(level.need * level.seconds for level in pool.levels)
            known = sum(level.seconds for level in pool.levels)
            yield Finding(
                kind=KIND,
                subject=pool.resource,
                saving=saving.quantize(CENTS),
                action="drain",
                arguments={"workers": sorted(worker.id for worker in leaving)},
                evidence={
                    "slots": pool.slots,
                    "slots_after": pool.slots - slots,
                    "used_on_average": figure(busy / known),
                    "used_at_peak": figure(max(level.need for level in pool.levels)),
                },
            )


def apply(facts: Facts, finding: Finding) -> Facts:
    """The facts as they would be without those workers."""
    gone = set(finding.arguments["workers"])

    def without(pool: Pool) -> Pool:
        if pool.resource != finding.subject:
            return pool
        kept = tuple(worker for worker in pool.workers if worker.id not in gone)
        lost = sum(worker.slots for worker in pool.workers if worker.id in gone)
        return replace(pool, workers=kept, slots=pool.slots - lost)

    return replace(facts, pools=tuple(map(without, facts.pools)))


def _leaving(pool: Pool, spare: int) -> list[Worker]:
    leaving: list[Worker] = []
    for worker in sorted(pool.workers, key=lambda w: (w.work_s / w.slots, w.id)):
        if worker.slots <= spare:
            leaving.append(worker)
            spare -= worker.slots
    return leaving
