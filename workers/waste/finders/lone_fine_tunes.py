"""Fine-tunes that were trained alone while others of the same base could have shared their passes.

Only their tenant can let them share; what is done here is to suggest it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from workers.waste.facts import Facts, Sharing, Terms, Work
from workers.waste.findings import CENTS, Finding, exact, figure

KIND = "lone_fine_tunes"


def find(facts: Facts, terms: Terms) -> Iterator[Finding]:
    for work in facts.work:
        slots = exact(work.slot_s / facts.months) * facts.prices[work.resource].saved
        saving = slots * exact(share_saved(work))
        if work.sharing is not None and _surely(work.sharing) and saving >= terms.worth:
            yield Finding(
                kind=KIND,
                subject=work.id,
                saving=saving.quantize(CENTS),
                action="suggest_sharing",
                tenant_id=work.tenant_id,
                evidence={
                    "base": work.base,
                    "jobs": work.jobs,
                    "slot_hours": figure(work.slot_s / 3600),
                    "update_alone_s": figure(work.sharing.alone_s),
                    "update_beside_others_s": figure(work.sharing.beside_s),
                    "time_with_company": figure(work.sharing.company),
                },
            )


def apply(facts: Facts, finding: Finding) -> Facts:
    """The facts as they would be had the tenant agreed."""

    def shared(work: Work) -> Work:
        if work.id != finding.subject:
            return work
        return replace(work, slot_s=work.slot_s * (1 - share_saved(work)), sharing=None)

    return replace(facts, work=tuple(map(shared, facts.work)))


def share_saved(work: Work) -> float:
    """The part of its time that sharing would save."""
    if work.sharing is None or work.sharing.alone_s <= 0:
        return 0.0
    gain = 1 - work.sharing.beside_s / work.sharing.alone_s
    return max(0.0, gain) * min(1.0, work.sharing.company)


def _surely(sharing: Sharing) -> bool:
    """Whether it gains even where the measurements err by their spread."""
    return sharing.beside_s * (1 + sharing.spread) < sharing.alone_s * (1 - sharing.spread)
