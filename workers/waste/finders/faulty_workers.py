"""A worker on which work is lost more often than on its like, beyond what chance explains.

Losses are counted against the hours worked. The fleet's own rate is the prior (a Gamma, as strong
as one typical worker's history), so that one unlucky crash accuses nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from scipy.stats import gamma

from workers.waste.facts import Facts, Pool, Terms, Worker
from workers.waste.findings import CENTS, Finding, exact, figure

KIND = "faulty_worker"


def find(facts: Facts, terms: Terms) -> Iterator[Finding]:
    for pool in facts.pools:
        price = facts.prices[pool.resource]
        for worker in pool.workers:
            others = fleet_rate(pool, worker)
            if others is None or not worker.lost:
                continue
            if _rate_surely(worker, others, terms.sure) <= others:
                continue
            again_s = (worker.lost - others * worker.work_s) * worker.redo_s
            saving = exact(again_s / facts.months) * price.saved
            if saving >= terms.worth:
                yield Finding(
                    kind=KIND,
                    subject=worker.id,
                    saving=saving.quantize(CENTS),
                    action="drain",
                    arguments={"workers": [worker.id]},
                    evidence={
                        "resource": pool.resource,
                        "lost_attempts": worker.lost,
                        "hours_worked": figure(worker.work_s / 3600),
                        "lost_elsewhere_in_that_time": figure(others * worker.work_s),
                        "work_again_each_s": figure(worker.redo_s),
                    },
                )


def apply(facts: Facts, finding: Finding) -> Facts:
    """The facts as they would be with the worker's work on others of its class."""
    gone = set(finding.arguments["workers"])

    def healed(pool: Pool) -> Pool:
        if not any(worker.id in gone for worker in pool.workers):
            return pool
        workers = (_like_others(pool, w) if w.id in gone else w for w in pool.workers)
        return replace(pool, workers=tuple(workers))

    return replace(facts, pools=tuple(map(healed, facts.pools)))


def _like_others(pool: Pool, worker: Worker) -> Worker:
    return replace(worker, lost=(fleet_rate(pool, worker) or 0.0) * worker.work_s)


def fleet_rate(pool: Pool, worker: Worker) -> float | None:
    """Losses a second on the other workers of the class; half a loss is always assumed."""
    others = [each for each in pool.workers if each.id != worker.id]
    seconds = sum(each.work_s for each in others)
    if seconds <= 0 or worker.work_s <= 0:
        return None
    return (sum(each.lost for each in others) + 0.5) / seconds


def _rate_surely(worker: Worker, others: float, sure: float) -> float:
    """The rate that this worker's own is above, with probability `sure`."""
    strength = others * worker.work_s  # the prior has seen as much time as the worker itself
    return float(gamma.ppf(1 - sure, worker.lost + strength, scale=1 / (2 * worker.work_s)))
