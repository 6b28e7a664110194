"""Stretches of worker slots as they come in: what may be said of them. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from tenants.costs.models import CostEntry, Rate
from tenants.kernel.errors import InvalidInput

FOR_A_JOB = frozenset({CostEntry.Purpose.JOB, CostEntry.Purpose.RETRY})


@dataclass(frozen=True)
class SlotTime:
    """Slot `slot` of `worker` was used for `purpose` during [started_at, ended_at).

    `key` names the stretch for ever: (attempt, sequence) or (worker, slot, sequence).
    `tenant_id`, `job_id` and `attempt` go with the purposes job and retry, and with these only.
    `labels` say more of the job, for unit costs: kind, base, method. Raises InvalidInput.
    """

    worker: str
    slot: int
    resource: str
    purpose: str
    started_at: dt.datetime
    ended_at: dt.datetime
    key: str
    tenant_id: str = ""
    job_id: str = ""
    attempt: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    rate_kind: str = Rate.Kind.ON_DEMAND

    def __post_init__(self) -> None:
        _check(self)


def _check(entry: SlotTime) -> None:
    if entry.purpose not in CostEntry.Purpose.values:
        known = ", ".join(CostEntry.Purpose.values)
        raise InvalidInput(f"purpose is one of {known}, not {entry.purpose!r}", param="purpose")
    if entry.rate_kind not in Rate.Kind.values:
        known = ", ".join(Rate.Kind.values)
        raise InvalidInput(f"rate_kind is one of {known}", param="rate_kind")
    if entry.started_at.tzinfo is None or entry.ended_at.tzinfo is None:
        raise InvalidInput("started_at and ended_at need a time zone", param="started_at")
    if entry.ended_at < entry.started_at:
        raise InvalidInput(f"the stretch {entry.key} ends before it starts", param="ended_at")
    named = bool(entry.tenant_id), bool(entry.job_id), entry.attempt is not None
    if entry.purpose in FOR_A_JOB and not all(named):
        raise InvalidInput(
            f"{entry.purpose} time names its tenant, job and attempt", param="job_id"
        )
    if entry.purpose not in FOR_A_JOB and any(named):
        raise InvalidInput(f"{entry.purpose} time is nobody's: name no job", param="job_id")
    if not 1 <= len(entry.key) <= 190:
        raise InvalidInput("key is 1 to 190 characters", param="key")
    if not entry.worker or not entry.resource or entry.slot < 0:
        raise InvalidInput("a stretch names its worker, slot and resource", param="worker")
