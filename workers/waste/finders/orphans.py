"""Stored objects that nothing refers to and that are hardly wanted again, tenant by tenant.

An object goes when keeping it for a month costs more than the chance that it is wanted, times what
making it again would take. What its tenant pays for is not ours to call waste.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

from workers.waste.facts import Facts, Stored, Terms
from workers.waste.findings import CENTS, Finding, exact, figure
from workers.waste.reuse import reuse_within_month

VERSIONS, FILES = "orphan_versions", "unused_files"


def find_versions(facts: Facts, terms: Terms) -> Iterator[Finding]:
    """Checkpoints and models that nobody calls, builds on or has on offer."""
    chance = reuse_within_month(facts.version_spells)

    def loss(each: Stored) -> Decimal | None:
        return None if each.remake is None else exact(chance(each.idle_s)) * each.remake

    return _find(VERSIONS, "delete", facts.versions, facts, terms, loss)


def find_files(facts: Facts, terms: Terms) -> Iterator[Finding]:
    """Files that no job and no dataset of late has read."""
    chance = reuse_within_month(facts.file_spells)

    def loss(each: Stored) -> Decimal | None:
        return exact(chance(each.idle_s)) * (
            terms.lost_file if each.remake is None else each.remake
        )

    return _find(FILES, "expire", facts.files, facts, terms, loss)


def apply_versions(facts: Facts, finding: Finding) -> Facts:
    """The facts without those versions."""
    gone = set(finding.arguments["ids"])
    return replace(facts, versions=tuple(v for v in facts.versions if v.id not in gone))


def apply_files(facts: Facts, finding: Finding) -> Facts:
    """The facts without those files."""
    gone = set(finding.arguments["ids"])
    return replace(facts, files=tuple(f for f in facts.files if f.id not in gone))


def _find(
    kind: str,
    action: str,
    objects: Iterable[Stored],
    facts: Facts,
    terms: Terms,
    loss: Callable[[Stored], Decimal | None],
) -> Iterator[Finding]:
    by_tenant: dict[str, list[Stored]] = {}
    for each in objects:
        lost, saved = loss(each), _saving(each, facts)
        if lost is not None and saved > lost:
            by_tenant.setdefault(each.tenant_id, []).append(each)
    for tenant_id, gone in sorted(by_tenant.items()):
        saving = sum((_saving(each, facts) for each in gone), Decimal(0))
        if saving >= terms.worth:
            yield Finding(
                kind=kind,
                subject=tenant_id,
                saving=saving.quantize(CENTS),
                action=action,
                tenant_id=tenant_id,
                arguments={"ids": sorted(each.id for each in gone)},
                evidence={
                    "objects": len(gone),
                    "gigabytes": figure(sum(each.gigabytes for each in gone)),
                    "idle_days_at_least": figure(min(each.idle_s for each in gone) / 86400),
                },
            )


def _saving(each: Stored, facts: Facts) -> Decimal:
    return exact(each.gigabytes) * facts.gigabyte_month - each.paid
