"""Work on a dearer class of workers than it needs, as measured on a cheaper one that is in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from workers.waste.facts import Facts, Terms, Work
from workers.waste.findings import CENTS, Finding, exact, figure

KIND = "oversized_worker"


def find(facts: Facts, terms: Terms) -> Iterator[Finding]:
    for work in facts.work:
        saved = {
            name: _saving(facts, work, name) for name in work.elsewhere if name in facts.prices
        }
        best = max(saved, key=lambda name: (saved[name], name), default="")
        if best and saved[best] >= terms.worth:
            yield Finding(
                kind=KIND,
                subject=work.id,
                saving=saved[best].quantize(CENTS),
                action="place",
                tenant_id=work.tenant_id,
                arguments={"resource": best},
                evidence={
                    "resource": work.resource,
                    "better": best,
                    "jobs": work.jobs,
                    "slot_hours": figure(work.slot_s / 3600),
                    "slot_hours_there": figure(work.elsewhere[best] / 3600),
                },
            )


def apply(facts: Facts, finding: Finding) -> Facts:
    """The facts as they would be with the work there."""

    def moved(work: Work) -> Work:
        if work.id != finding.subject:
            return work
        where = str(finding.arguments["resource"])
        others = {work.resource: work.slot_s}
        return replace(work, resource=where, slot_s=work.elsewhere[where], elsewhere=others)

    return replace(facts, work=tuple(map(moved, facts.work)))


def _saving(facts: Facts, work: Work, name: str) -> Decimal:
    here, there = facts.prices[work.resource].saved, facts.prices[name].amount
    spent = exact(work.slot_s) * here - exact(work.elsewhere[name]) * there
    return spent / exact(facts.months)
