"""The catalogue of base models: registered by operators, the same bytes for ever under one name."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tenants.accounts.actors import system_actor
from tenants.accounts.audit import audit_record
from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.errors import BreakwaterError, Conflict, InvalidInput, NotFound
from tenants.kernel.scope import system_scope
from workers.assets.engine_runs import engine_run
from workers.assets.models import BaseModel, ModelVersion
from workers.assets.readings import TASKS_OF
from workers.assets.weights import (
    context_length,
    folder_bytes,
    model_config,
    parameter_count,
    refuse_unsafe,
    refuse_without_tokenizer,
)
from workers.engine.folders import folder_digest
from workers.engine.profiles import Profile, profile_key, profiles_read

READS_TEXT = (BaseModel.Kind.TEXT_GENERATION, BaseModel.Kind.EMBEDDING)
TRAINED_BYTES = 16  # of a parameter: itself, its gradient and two moments, in float32


class BaseModelDamaged(BreakwaterError):
    """A base's folder is missing or differs from what was registered."""

    code = "base_model_damaged"


def base_model_register(
    *, path: Path, model_id: str, kind: str, licence: str, description: str = ""
) -> BaseModel:
    """Enter the Hugging Face folder at `path` into the catalogue; it stays where it lies.

    Registering the same bytes again changes nothing but their place. Raises InvalidInput for an
    unsafe or unreadable folder, Conflict for other bytes under a name that models were made from.
    """
    folder = path.resolve()
    refuse_unsafe(folder)
    config = model_config(folder)
    if kind not in BaseModel.Kind.values:
        raise InvalidInput(f"kind is one of {', '.join(BaseModel.Kind.values)}, not {kind!r}")
    if not 1 <= len(model_id) <= 48 or ":" in model_id or not licence.strip():
        raise InvalidInput("give a name of 1 to 48 characters without ':', and a licence")
    if kind in READS_TEXT:
        refuse_without_tokenizer(folder)
    fields = {
        "kind": kind,
        "family": config["model_type"],
        "licence": licence.strip(),
        "description": description,
        "parameters": parameter_count(folder),
        "bytes": folder_bytes(folder),
        "context_length": context_length(folder, config),
        "path": str(folder),
        "sha256": folder_digest(folder),
    }
    with system_scope():
        return _enter(model_id, fields)


def _enter(model_id: str, fields: dict[str, Any]) -> BaseModel:
    known = BaseModel.objects.select_for_update().filter(pk=model_id).first()
    if known is not None and known.sha256 != fields["sha256"]:
        made = ModelVersion.objects.filter(base=known).count()
        if made:
            raise Conflict(
                f"{made} models were made from {model_id!r} with other bytes (sha256 "
                f"{known.sha256[:12]}…); register this folder under a new name"
            )
    if known is not None and all(getattr(known, name) == fields[name] for name in fields):
        return known
    if known is not None and known.sha256 != fields["sha256"]:
        fields = fields | {"profile": {}}  # measured on other bytes
    row, _ = BaseModel.objects.update_or_create(pk=model_id, defaults=fields)
    platform = platform_tenant_ensure()
    audit_record(
        actor=system_actor(platform.id),
        action="base_model.register",
        target=model_id,
        data={"sha256": row.sha256, "licence": row.licence},
    )
    return row


def base_model_verify(*, model_id: str) -> BaseModel:
    """Compare a base's folder with its registered hash. Raises NotFound, BaseModelDamaged."""
    with system_scope():
        row = BaseModel.objects.filter(pk=model_id).first()
    if row is None:
        raise NotFound(f"no base model {model_id!r}")
    folder = Path(row.path)
    if not folder.is_dir():
        raise BaseModelDamaged(f"the folder {folder} of {model_id!r} is gone; put it back")
    if folder_digest(folder) != row.sha256:
        raise BaseModelDamaged(f"the folder {folder} of {model_id!r} was altered; restore it")
    return row


def base_model_measure(*, model_id: str, tasks: Sequence[str] = ()) -> BaseModel:
    """Measure how fast one CPU slot of this machine trains this base, for these tasks (all that it
    can learn) and by each method; quotes tell times by it.

    Takes some seconds for each, best while nothing else runs: what disturbs it widens the bounds.
    Raises NotFound, Unavailable where nothing can be measured.
    """
    with system_scope():
        row = BaseModel.objects.filter(pk=model_id).first()
    if row is None:
        raise NotFound(f"no base model {model_id!r}")
    found: dict[str, Any] = {}

    def hear(line: Mapping[str, Any]) -> None:
        found[profile_key(Profile(**line))] = dict(line)

    engine_run(
        "workers.engine.measuring",
        row.path,
        *(tasks or TASKS_OF[row.kind]),
        "--device",
        "cpu",
        hear=hear,
        failure=f"{model_id} could not be measured",
    )
    platform = platform_tenant_ensure()
    with system_scope():
        same = BaseModel.objects.select_for_update().filter(pk=model_id, sha256=row.sha256).first()
        if same is not None:
            kept = {} if "flops" in same.profile else same.profile  # one of an older version
            same.profile = kept | found
            same.save(update_fields=["profile"])
        audit_record(
            actor=system_actor(platform.id),
            action="base_model.measure",
            target=model_id,
            data={key: {"flops": each["flops"], "p90": each["p90"]} for key, each in found.items()},
        )
        return BaseModel.objects.get(pk=model_id)


def base_model_measure_next() -> BaseModel | None:
    """Measure some base for one task whose profile it lacks; None where none lacks any.

    Whichever it is: one that can never be measured does not keep the others waiting. One that this
    machine has no memory to train whole is left to operators. Raises Unavailable where it cannot
    be.
    """
    most = psutil.virtual_memory().available // TRAINED_BYTES
    with system_scope():
        rows = list(BaseModel.objects.filter(parameters__lte=most))
    lacking = [(row.id, task) for row in rows for task in _unmeasured(row)]
    if not lacking:
        return None
    model_id, task = random.choice(lacking)  # noqa: S311 -- no secret hangs on it
    return base_model_measure(model_id=model_id, tasks=[task])


def _unmeasured(row: BaseModel) -> list[str]:
    known = {task for _, task, _ in profiles_read(row.profile)} if row.profile else set()
    return [task for task in TASKS_OF[row.kind] if task not in known]
