"""Fair order as plain Python: the reference that the claim's SQL is compared with.

The rule and its two figures are written here again, from its description in `claims.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RUNNING_CHARGE_S = 60.0  # what a running job counts beyond what it has used so far


@dataclass(frozen=True)
class Share:
    """A tenant's standing: `used_s` cost-seconds within the window, jobs `running` now, its cap."""

    weight: int = 1
    used_s: float = 0.0
    running: int = 0
    max_running: int = 4

    @property
    def score(self) -> float:
        return (self.used_s + RUNNING_CHARGE_S * self.running) / self.weight


@dataclass(frozen=True)
class Waiting:
    """A queued job; `age_rank` orders by when it was queued, oldest first."""

    job_id: str
    tenant_id: str
    priority: int
    age_rank: int
    within_cap: bool = True


def fair_order(jobs: Sequence[Waiting], shares: Mapping[str, Share]) -> list[Waiting]:
    """Return the jobs that may start now, the next one first."""

    def may_start(job: Waiting) -> bool:
        share = shares[job.tenant_id]
        return not job.within_cap or share.running < share.max_running

    return sorted(
        filter(may_start, jobs),
        key=lambda job: (shares[job.tenant_id].score, -job.priority, job.age_rank, job.job_id),
    )
