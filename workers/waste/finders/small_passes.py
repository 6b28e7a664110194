"""Training in passes so small that their fixed cost is paid more often than memory asks for.

An update is the same in fewer, larger passes (gradients are accumulated exactly).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from workers.waste.facts import Facts, Terms, Work
from workers.waste.findings import CENTS, Finding, exact, figure

KIND = "small_passes"


def find(facts: Facts, terms: Terms) -> Iterator[Finding]:
    for work in facts.work:
        if work.passes is None:
            continue
        slots = exact(work.slot_s * share_saved(work) / facts.months)
        saving = slots * facts.prices[work.resource].saved
        if saving >= terms.worth:
            yield Finding(
                kind=KIND,
                subject=work.id,
                saving=saving.quantize(CENTS),
                action="enlarge_passes",
                tenant_id=work.tenant_id,
                arguments={"micro_batch_tokens": work.passes.fitting},
                evidence={
                    "base": work.base,
                    "jobs": work.jobs,
                    "slot_hours": figure(work.slot_s / 3600),
                    "update_s": figure(work.passes.now_s),
                    "update_in_larger_passes_s": figure(work.passes.fitting_s),
                },
            )


def apply(facts: Facts, finding: Finding) -> Facts:
    """The facts as they would be with passes of that size."""

    def larger(work: Work) -> Work:
        if work.id != finding.subject:
            return work
        return replace(work, slot_s=work.slot_s * (1 - share_saved(work)), passes=None)

    return replace(facts, work=tuple(map(larger, facts.work)))


def share_saved(work: Work) -> float:
    """The part of its time that larger passes would save."""
    if work.passes is None or work.passes.now_s <= 0:
        return 0.0
    return max(0.0, 1 - work.passes.fitting_s / work.passes.now_s)
