"""Adapters that a compression carried over: each becomes a version of its own, on what was made."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tenants.accounts.models import Tenant
from tenants.kernel.version import code_version
from workers.assets.card import Card
from workers.assets.models import ModelVersion
from workers.assets.naming import version_name
from workers.assets.services import model_version_create, version_seal
from workers.assets.storage import StoredObject
from workers.engine.compression.report import ADAPTERS
from workers.jobs.models import Job
from workers.tasks.runs.run import Context


@dataclass(frozen=True)
class Carried:
    """An adapter for the compressed model, sealed; `error` is the share of its output lost."""

    source: ModelVersion
    place: int
    folder: Path
    stored: StoredObject
    error: float


def carried_seal(context: Context, folder: Path, report: Mapping[str, Any]) -> list[Carried]:
    """Take the adapters out of the made model's folder, and seal each by itself."""
    spec = context.claim.spec
    errors = report.get("adapter_errors", {})
    taken = context.scratch / "carried"
    if (folder / ADAPTERS).is_dir():
        shutil.move(folder / ADAPTERS, taken)
    found = []
    for number, version_id in enumerate(spec.get("adapters") or ()):
        source, name = context.in_scope(partial(_names, context, version_id))
        error = float(errors[str(number)])
        own = taken / str(number)
        card = Card(
            name=f"{spec.get('suffix') or context.job_id} adapter {number + 1}",
            kind=ModelVersion.Kind.ADAPTER,
            base_id=name,
            licence=source.licence,
            code_version=code_version(),
            job_id=context.job_id,
            dataset_id=source.dataset_id or "",
            parent=source.name,
            spec=source.spec,
            metrics={"carry_error": error},
        )
        stored = version_seal(
            tenant_id=context.tenant_id, data_key=context.data_key, folder=own, card=card
        )
        found.append(Carried(source, number + 1, own, stored, error))
    return found


def _names(context: Context, version_id: str) -> tuple[ModelVersion, str]:
    """The adapter, also one that was deleted meanwhile; how the made model will be called."""
    spec = context.claim.spec
    name = version_name(
        base_id=spec["base_id"],
        slug=Tenant.objects.get(pk=context.tenant_id).slug,
        suffix=spec.get("suffix") or "",
        source_id=context.job_id,
    )
    return ModelVersion.objects.get(pk=version_id), name


def carried_create(
    job: Job, made: ModelVersion, carried: Sequence[Carried]
) -> list[dict[str, Any]]:
    """Enter them as versions on `made`, in the caller's transaction; what the job's result says."""
    told = []
    for each in carried:
        version = model_version_create(
            tenant_id=job.tenant_id,
            base_id=made.base_id,
            kind=ModelVersion.Kind.ADAPTER,
            folder=each.folder,
            suffix=job.spec.get("suffix") or "",
            job_id=job.id,
            parent_id=each.source.id,
            dataset_id=each.source.dataset_id,
            spec=each.source.spec,
            metrics={"carry_error": each.error},
            stored=each.stored,
            over=made,
            place=each.place,
        )
        told.append({"model": version.name, "carried_from": each.source.name, "error": each.error})
    return told
