"""Work paid at the full price that could go on from a snapshot, and wait, on spot capacity.

An interruption costs a new start, and half of the time between two snapshots; work without any
starts over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from scipy.stats import poisson

from workers.waste.facts import Facts, Spot, Terms, Work
from workers.waste.findings import CENTS, Finding, exact, figure

KIND = "patient_work"


def find(facts: Facts, terms: Terms) -> Iterator[Finding]:
    for work in facts.work:
        spot = facts.prices[work.resource].spot
        if spot is None or not work.on_demand or not _bears_it(work, spot, terms):
            continue
        saving = _saving(facts, work, spot)
        if saving >= terms.worth:
            yield Finding(
                kind=KIND,
                subject=work.id,
                saving=saving.quantize(CENTS),
                action="move_to_spot",
                tenant_id=work.tenant_id,
                arguments={"resource": work.resource},
                evidence={
                    "resource": work.resource,
                    "jobs": work.jobs,
                    "slot_hours": figure(work.slot_s / 3600),
                    "work_again": figure(stretch(work, spot) - 1),
                    "spot_over_on_demand": figure(spot.price / facts.prices[work.resource].amount),
                },
            )


def apply(facts: Facts, finding: Finding) -> Facts:
    """The facts as they would be with the work on spot capacity."""

    def moved(work: Work) -> Work:
        spot = facts.prices[work.resource].spot
        if work.id != finding.subject or spot is None:
            return work
        return replace(work, slot_s=work.slot_s * stretch(work, spot), on_demand=False)

    return replace(facts, work=tuple(map(moved, facts.work)))


def stretch(work: Work, spot: Spot) -> float:
    """How many times as long work takes where it is interrupted."""
    return 1 + spot.interruptions_per_hour * again_s(work, spot) / 3600


def again_s(work: Work, spot: Spot) -> float:
    """What one interruption costs a job: on average half of what it would have to keep."""
    run_s = work.slot_s / work.jobs
    kept_s = run_s if work.snapshot_s is None else min(work.snapshot_s, run_s)
    return kept_s / 2 + spot.restart_s


def _bears_it(work: Work, spot: Spot, terms: Terms) -> bool:
    """Whether few enough jobs would meet more interruptions than their time allows."""
    if work.patience_s is None or not work.jobs:
        return False
    borne = math.floor(work.patience_s / again_s(work, spot))
    met = spot.interruptions_per_hour * work.slot_s / work.jobs / 3600
    return float(poisson.sf(borne, met)) <= terms.late


def _saving(facts: Facts, work: Work, spot: Spot) -> Decimal:
    price = facts.prices[work.resource]
    slots = exact(work.slot_s / facts.months)
    return slots * (price.saved - spot.price * exact(stretch(work, spot)))
