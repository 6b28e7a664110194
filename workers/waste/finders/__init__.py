"""The finders, each a pure rule over facts, and what the facts become once its action is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from workers.waste.facts import Facts, Terms
from workers.waste.finders import (
    dense_models,
    faulty_workers,
    idle_deployments,
    idle_workers,
    lone_fine_tunes,
    orphans,
    oversized_workers,
    patient_work,
    small_passes,
    spare_replicas,
)
from workers.waste.findings import Finding


@dataclass(frozen=True)
class Finder:
    find: Callable[[Facts, Terms], Iterator[Finding]]
    apply: Callable[[Facts, Finding], Facts]


# kind → its finder, in the order in which actions are best done: what makes others moot comes first
FINDERS = {
    idle_deployments.KIND: Finder(idle_deployments.find, idle_deployments.apply),
    dense_models.KIND: Finder(dense_models.find, dense_models.apply),
    spare_replicas.KIND: Finder(spare_replicas.find, spare_replicas.apply),
    faulty_workers.KIND: Finder(faulty_workers.find, faulty_workers.apply),
    oversized_workers.KIND: Finder(oversized_workers.find, oversized_workers.apply),
    small_passes.KIND: Finder(small_passes.find, small_passes.apply),
    lone_fine_tunes.KIND: Finder(lone_fine_tunes.find, lone_fine_tunes.apply),
    patient_work.KIND: Finder(patient_work.find, patient_work.apply),
    idle_workers.KIND: Finder(idle_workers.find, idle_workers.apply),
    orphans.VERSIONS: Finder(orphans.find_versions, orphans.apply_versions),
    orphans.FILES: Finder(orphans.find_files, orphans.apply_files),
}
