"""Work paid at the full price that could go on from a snapshot, and wait, on spot capacity.

An interruption costs a new start and what was done since the last snapshot; work without any
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
                    "slot_hours": figure(work.slot_s * work.on_demand / 3600),
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
        longer = 1 + work.on_demand * (stretch(work, spot) - 1)
        return replace(work, slot_s=work.slot_s * longer, on_demand=0.0)

    return replace(facts, work=tuple(map(moved, facts.work)))


def stretch(work: Work, spot: Spot) -> float:
    """How many times as long work takes where it is interrupted, on average.

    A part of length T between two snapshots, tried until it gets through while interruptions come
    at the rate r and each costs a restart R, takes (exp(rT) - 1)(1/r + R).
    """
    rate = spot.interruptions_per_hour / 3600
    part_s = _part_s(work)
    if not rate or not part_s:
        return 1.0
    return math.expm1(min(rate * part_s, 50.0)) * (1 / rate + spot.restart_s) / part_s


def _part_s(work: Work) -> float:
    run_s = work.slot_s / work.jobs
    return run_s if work.snapshot_s is None else min(work.snapshot_s, run_s)


def _bears_it(work: Work, spot: Spot, terms: Terms) -> bool:
    """Whether few enough jobs would meet more interruptions than their time allows."""
    if work.patience_s is None or not work.jobs:
        return False
    again_s = _part_s(work) / 2 + spot.restart_s
    borne = math.floor(work.patience_s / again_s)
    met = spot.interruptions_per_hour * work.slot_s / work.jobs * stretch(work, spot) / 3600
    return float(poisson.sf(borne, met)) <= terms.late


def _saving(facts: Facts, work: Work, spot: Spot) -> Decimal:
    price = facts.prices[work.resource]
    slots = exact(work.slot_s * work.on_demand / facts.months)
    return slots * (price.saved - spot.price * exact(stretch(work, spot)))
