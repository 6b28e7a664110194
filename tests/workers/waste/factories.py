"""Rows of four weeks past: deployments with requests, workers with attempts, versions, files."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.models import Tenant
from tenants.accounts.services import platform_tenant_ensure
from tenants.costs.services import rate_set, resources_ensure, slot_time_record
from tenants.kernel.clock import now
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from tenants.usage.ingestion import NewUsage
from tenants.usage.services import usage_record
from tests.tenants.costs.factories import resource_make, slot_time
from tests.workers.jobs.factories import make_tenant
from workers.assets.models import BaseModel, File, ModelVersion
from workers.jobs.models import Attempt, Job, Worker
from workers.jobs.states import Kind, State
from workers.serving.models import Deployment, ReadySpan, Replica

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)


def staff() -> Actor:
    platform = platform_tenant_ensure()
    return Actor(kind=ActorKind.OPERATOR, id="user_1", tenant_id=platform.id)


def ago(days: float) -> dt.datetime:
    return now() - dt.timedelta(days=days)


def base_make(name: str = "mini") -> BaseModel:
    with system_scope():
        row, _ = BaseModel.objects.get_or_create(
            id=name,
            defaults={
                "kind": BaseModel.Kind.TEXT_GENERATION,
                "family": "llama",
                "licence": "apache-2.0",
                "parameters": 10**6,
                "bytes": 10**6,
                "context_length": 512,
                "path": "/nowhere",
                "sha256": "0" * 64,
            },
        )
    return row


def price_gpu(**kinds: str) -> None:
    """What a GPU's second costs by kind of rate, from now on."""
    with system_scope():
        resources_ensure()
        for kind, amount in kinds.items():
            rate_set(actor=staff(), resource_id="worker.gpu", amount=Decimal(amount), kind=kind)


def price_storage(gb_hour: str) -> None:
    with system_scope():
        resources_ensure()
        rate_set(actor=staff(), resource_id="storage", amount=Decimal(gb_hour))


def job_make(tenant: Tenant, **fields: Any) -> Job:
    values: dict[str, Any] = {
        "id": new_id("job_"),
        "kind": Kind.FINE_TUNE,
        "state": State.SUCCEEDED,
        "queue": "train.gpu",
        "finished_at": ago(20),
        "spec": {"base_id": "mini"},
    }
    with system_scope():
        job: Job = Job.objects.create(tenant_id=tenant.id, **values | fields)
    return job


def worker_make(*, started: dt.datetime, slots: int = 1, **fields: Any) -> Worker:
    values = {"worker_class": "gpu", "host": "h", "pid": 1, "queues": ["train.gpu"]}
    with system_scope():
        row: Worker = Worker.objects.create(
            id=new_id("wrk_"), name="w", slots=slots, started_at=started, **values | fields
        )
    return row


def attempt_make(job: Job, worker: Worker, start: dt.datetime, hours: float, **fields: Any) -> None:
    end = start + dt.timedelta(hours=hours)
    values: dict[str, Any] = {"number": 1, "token": 1, "outcome": "succeeded"} | fields
    with system_scope():
        Attempt.objects.create(
            id=new_id("att_"), tenant_id=job.tenant_id, job=job, worker=worker, started_at=start,
            ended_at=end, lease_expires_at=end, **values,
        )  # fmt: skip
        Job.objects.filter(pk=job.pk).update(queued_at=start)


def deployment_forgotten(*, sleep_after_s: int = 7 * 86400) -> Deployment:
    """Called for a day three weeks ago, kept awake for a week after its last call."""
    tenant = make_tenant()
    base, platform = base_make(), platform_tenant_ensure()
    serve = job_make(
        platform, kind=Kind.SERVE, state=State.CANCELLED, queue="serve.gpu", spec={"target": "mini"}
    )
    with system_scope():
        row: Deployment = Deployment.objects.create(
            id=new_id("dep_"), tenant_id=tenant.id, model="mini", base=base, target="mini",
            sleep_after_s=sleep_after_s, max_replicas=4,
        )  # fmt: skip
        Deployment.objects.filter(pk=row.pk).update(created_at=ago(25))
        Replica.objects.create(
            id=new_id("rep_"), target="mini", job=serve, token=1, state=Replica.State.STOPPED,
            started_at=ago(21), stopped_at=ago(13),
        )  # fmt: skip
        ReadySpan.objects.create(
            tenant_id=tenant.id, deployment=row, started_at=ago(21) + dt.timedelta(seconds=40),
            ended_at=ago(13),
        )  # fmt: skip
        for hour in range(24):
            called(tenant.id, "mini", ago(21) + hour * HOUR)
    return row


def called(tenant_id: str, model: str, moment: dt.datetime, tokens: int = 1000) -> None:
    """Tokens that the gateway counted. System scope."""
    usage_record(
        tenant_id=tenant_id,
        events=[
            NewUsage(
                meter="tokens.output",
                quantity=Decimal(tokens),
                event_time=moment,
                source="gateway",
                key=new_id("req_"),
                dimensions={"model": model, "base": "mini"},
            )
        ],
    )


def checkpoints_make(tenant: Tenant, count: int, *, gigabytes: float, days: float) -> list[str]:
    """Checkpoints of a finished job that took a second, idle for so many days."""
    base_make()
    job = job_make(tenant)
    resource = resource_make((ago(1000), "0.0001"))
    with system_scope():
        slot_time_record(
            entries=[
                slot_time(0, 1, resource=resource, tenant_id=tenant.id, job_id=job.id, key=job.id)
            ]
        )
    ids = []
    with system_scope():
        for step in range(count):
            version = ModelVersion.objects.create(
                id=new_id("mv_"), tenant_id=tenant.id, name=f"ft:mini:t::{job.id}:{step}",
                kind=ModelVersion.Kind.ADAPTER, base_id="mini", job_id=job.id, is_checkpoint=True,
                step=step, licence="x", code_version="0", bytes=int(gigabytes * 10**9),
                sha256="0" * 64, storage_key=new_id("k_"),
            )  # fmt: skip
            ModelVersion.objects.filter(pk=version.pk).update(created_at=ago(days))
            ids.append(str(version.id))
    return ids


def file_make(tenant: Tenant, *, gigabytes: float, days: float) -> str:
    with system_scope():
        row = File.objects.create(
            id=new_id("file-"), tenant_id=tenant.id, filename="a.jsonl", purpose="fine-tune",
            media_type="application/jsonl", bytes=int(gigabytes * 10**9), sha256="1" * 64,
            storage_key=new_id("k_"),
        )  # fmt: skip
        File.objects.filter(pk=row.pk).update(created_at=ago(days))
    return str(row.id)
