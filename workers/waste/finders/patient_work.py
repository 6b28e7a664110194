"""Work paid at the full price that could go on from a snapshot, and wait, on spot capacity.

An interruption costs half of the time between two snapshots and a new start, each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from workers.waste.facts import Facts, Spot, Terms, Work
from workers.waste.findings import CENTS, Finding, exact, figure

KIND = "patient_work"


def find(facts: Facts, terms: Terms) -> Iterator[Finding]:
    for work in facts.work:
        spot = facts.prices[work.resource].spot
        if spot is None or not work.on_demand or not _bears_it(work, spot):
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
    if work.snapshot_s is None:
        return float("inf")
    again_s = work.snapshot_s / 2 + spot.restart_s
    return 1 + spot.interruptions_per_hour * again_s / 3600


def _bears_it(work: Work, spot: Spot) -> bool:
    """Whether a job of typical length is still in time."""
    if work.snapshot_s is None or work.patience_s is None or not work.jobs:
        return False
    longer_s = work.slot_s / work.jobs * (stretch(work, spot) - 1) + spot.restart_s
    return longer_s <= work.patience_s


def _saving(facts: Facts, work: Work, spot: Spot) -> Decimal:
    price = facts.prices[work.resource]
    slots = exact(work.slot_s / facts.months)
    return slots * (price.saved - spot.price * exact(stretch(work, spot)))
