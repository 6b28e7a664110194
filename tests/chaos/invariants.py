"""What must hold after any round, read from the rows and the stored bytes alone."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.selectors import holds_open, unbalanced
from tenants.pricing.models import Charge, ChargeLine
from tenants.usage.models import UsageEvent
from workers.assets.materialise import version_to_folder
from workers.assets.models import ModelVersion
from workers.jobs.models import Attempt, Checkpoint, Job, JobEvent, Snapshot
from workers.jobs.states import FINAL

OTHER_WEIGHTS = "its weights differ from the uninterrupted run's"


@dataclass(frozen=True)
class Reference:
    """The same fine-tune, never interrupted: hash of its weights, tokens sold, steps."""

    weights: str
    tokens: int
    steps: int


def reference_of(job_id: str) -> Reference:
    with system_scope():
        job = Job.objects.get(pk=job_id)
    return Reference(weights_hash(job_id), sum(_sold(job_id).values()), job.steps)


def violations(job_id: str, reference: Reference) -> list[str]:
    """Every rule that this job broke, in words."""
    return [f"{job_id}: {broken}" for broken in _violations(job_id, reference)]


def _violations(job_id: str, reference: Reference) -> Iterator[str]:
    with system_scope():
        job = Job.objects.get(pk=job_id)
        attempts = list(Attempt.objects.filter(job=job).order_by("number"))
        snapshots = list(Snapshot.objects.filter(job=job).order_by("created_at"))
        ends = OutboxEvent.objects.filter(
            aggregate_id=job_id, name__in=[f"job.{state}" for state in FINAL]
        )
        endings = list(ends.values_list("name", flat=True))
        points = JobEvent.objects.filter(job=job, type="metrics").values_list("data", flat=True)
        losses = [d["step"] for d in points if "train_loss" in d]
        versions = ModelVersion.objects.filter(job_id=job_id, is_checkpoint=False).count()
        checkpoints = list(Checkpoint.objects.filter(job=job).values_list("step", flat=True))
    if job.state != "succeeded":
        yield f"ended as {job.state}: {job.error}"
        return
    yield from _endings(attempts, endings, versions)
    yield from _zombies(attempts, snapshots)
    yield from _resumptions(attempts, snapshots)
    if len(losses) != len(set(losses)):
        yield "a step is on the curve twice"
    if len(checkpoints) != len(set(checkpoints)):
        yield "an epoch has two checkpoints"
    yield from _sales(job_id, reference)
    yield from _charges(job)
    if weights_hash(job_id) != reference.weights:
        yield OTHER_WEIGHTS


def _endings(attempts: list[Attempt], endings: list[str], versions: int) -> Iterator[str]:
    outcomes = [attempt.outcome for attempt in attempts]
    if outcomes.count("succeeded") != 1 or outcomes[-1] != "succeeded":
        yield f"its attempts ended as {outcomes}"
    if endings != ["job.succeeded"]:
        yield f"it told of these ends: {endings}"
    if versions != 1:
        yield f"it made {versions} final models"


def _zombies(attempts: list[Attempt], snapshots: list[Snapshot]) -> Iterator[str]:
    ended = {attempt.token: attempt.ended_at for attempt in attempts}
    for snapshot in snapshots:
        end = ended.get(snapshot.token)
        if end is None or snapshot.created_at > end:
            yield f"attempt with token {snapshot.token} stored step {snapshot.step} after its end"


def _resumptions(attempts: list[Attempt], snapshots: list[Snapshot]) -> Iterator[str]:
    """Each attempt begins at the last snapshot before it: no work up to there is repeated."""
    for before, attempt in pairwise(attempts):
        earlier = [s.step for s in snapshots if s.token <= before.token]
        expected = max(earlier, default=0)
        if attempt.from_step != expected:
            yield f"attempt {attempt.number} began at {attempt.from_step}, not at {expected}"


def _sales(job_id: str, reference: Reference) -> Iterator[str]:
    sold = _sold(job_id)
    ranges = sorted(tuple(map(int, key.rsplit(":", 1)[1].split("-"))) for key in sold)
    joined = [0] + [stop for _, stop in ranges]
    if [start for start, _ in ranges] != joined[:-1] or joined[-1] != reference.steps:
        yield f"the steps sold are {ranges}"
    if sum(sold.values()) != reference.tokens:
        yield f"{sum(sold.values())} tokens were sold, {reference.tokens} are right"


def _charges(job: Job) -> Iterator[str]:
    """What was sold was charged, once, never above the promise; nothing is held any more."""
    with system_scope():
        charges = list(Charge.objects.filter(subject_kind="job", subject_id=job.id))
        lines = ChargeLine.objects.filter(charge__in=charges, kind="usage")
        counted = sum(int(line.quantity) for line in lines)
        is_held = holds_open(tenant_id=job.tenant_id).filter(key=f"job:{job.id}").exists()
    charged = sum((charge.net for charge in charges), Decimal(0))
    sold = sum(_sold(job.id).values())
    if counted != sold:
        yield f"{counted} tokens were charged, {sold} were sold"
    if charged != job.charged or job.bound is None or charged > job.bound:
        yield f"it was charged {charged} of at most {job.bound}; its row says {job.charged}"
    if is_held:
        yield "it has ended, and its hold is open"


def books_violations() -> list[str]:
    """The books balance, and what wallets, grants and holds say is what they say."""
    with system_scope():
        off = [f"the transaction {name} does not balance" for name in unbalanced()]
        return off + projections_wrong()


def _sold(job_id: str) -> dict[str, int]:
    with system_scope():
        rows = UsageEvent.objects.filter(dimensions__job_id=job_id, meter="tokens.trained")
        return {row.key: int(row.quantity) for row in rows}


def weights_hash(job_id: str) -> str:
    """SHA-256 of the final adapter's tensors, as stored."""
    with system_scope():
        version: Any = ModelVersion.objects.get(job_id=job_id, is_checkpoint=False)
        key = tenant_data_key(version.tenant_id)
    with tempfile.TemporaryDirectory() as folder:
        version_to_folder(version=version, data_key=key, into=Path(folder) / "model")
        (weights,) = (Path(folder) / "model").glob("*.safetensors")
        return hashlib.sha256(weights.read_bytes()).hexdigest()
