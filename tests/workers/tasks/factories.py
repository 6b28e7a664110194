"""A tenant with a small real base model, real files, and jobs that a worker's parent runs here."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connections
from safetensors.torch import load_file

from tenants.accounts.models import Tenant
from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.usage.models import UsageEvent
from tests.workers.engine.factories import base_folder, completions
from tests.workers.jobs.factories import actor_of, claimed, make_tenant
from workers.assets.materialise import version_to_folder
from workers.assets.models import BaseModel, ModelVersion
from workers.assets.services import base_model_register, file_create
from workers.jobs.models import Job, Worker
from workers.jobs.services import job_submit
from workers.jobs.states import Kind
from workers.tasks.supervise import Supervision

BASE_ID = "tiny"
SETTINGS: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 4,
    "max_length": 96,
    "lora": {"rank": 4, "alpha": 8.0, "dropout": 0.1},
    "learning_rate": 5e-3,
    "snapshot_every_steps": 3,
}


def register_base(folder: Path, model_id: str = BASE_ID) -> BaseModel:
    """A tiny Llama with a real tokenizer, in the catalogue."""
    platform_tenant_ensure()
    return base_model_register(
        path=base_folder(folder), model_id=model_id, kind="text_generation", licence="Apache-2.0"
    )


def jsonl(rows: Sequence[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def upload(tenant: Tenant, rows: Sequence[Any]) -> str:
    with tenant_scope(tenant.id):
        file = file_create(
            actor=actor_of(tenant), filename="d.jsonl", purpose="fine-tune", chunks=[jsonl(rows)]
        )
    return str(file.id)


def submit_fine_tune(
    tenant: Tenant,
    *,
    rows: int = 24,
    validation: bool = True,
    model: str = BASE_ID,
    **changes: Any,
) -> Job:
    """A fine-tune of `rows` real examples; `changes` go into its settings."""
    training = upload(tenant, completions(rows))
    held_out = upload(tenant, completions(40)[32:]) if validation else None
    with tenant_scope(tenant.id):
        return job_submit(
            actor=actor_of(tenant),
            kind=Kind.FINE_TUNE,
            spec={
                "model": model,
                "training_file_id": training,
                "validation_file_id": held_out,
                "settings": SETTINGS | changes,
            },
        )


@dataclass
class Running:
    """An attempt that is supervised in a thread of this process."""

    supervision: Supervision
    thread: threading.Thread
    draining: threading.Event

    def join(self, timeout: float = 120) -> None:
        self.thread.join(timeout)
        assert not self.thread.is_alive(), "the attempt did not end"


def start(
    worker: Worker, *, queue: str = "train.cpu", on_new_ground: Callable[[], None] = lambda: None
) -> Running:
    """Claim the next job and supervise it in a thread."""
    asked_at = time.monotonic()
    draining = threading.Event()
    supervision = Supervision(
        claimed(worker, queue=queue),
        claimed_at=asked_at,
        draining=draining,
        on_new_ground=on_new_ground,
    )

    def run() -> None:
        try:
            supervision.run()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return Running(supervision, thread, draining)


def until(condition: Callable[[], Any], *, timeout: float = 60, what: str = "") -> Any:
    """Wait for `condition` to hold; fail with `what` where it does not in time."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {timeout:.0f} s in vain for {what}"
        time.sleep(0.02)
    return found


def weights_of(version_id: str, into: Path) -> dict[str, Any]:
    """The tensors of a version, as stored."""
    with system_scope():
        version = ModelVersion.objects.get(pk=version_id)
        key = tenant_data_key(version.tenant_id)
    version_to_folder(version=version, data_key=key, into=into)
    (path,) = into.glob("*.safetensors")
    return dict(load_file(path))


def sold(job_id: str, meter: str = "tokens.trained") -> int:
    with system_scope():
        rows = UsageEvent.objects.filter(dimensions__job_id=job_id, meter=meter)
        return int(sum(row.quantity for row in rows))


__all__ = ["make_tenant"]
