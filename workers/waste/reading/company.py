"""Fine-tunes that could have shared passes: when each ran, and whether others were there then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workers.jobs.models import Attempt
from workers.waste.facts import Spans
from workers.waste.reading.window import Window


class Run(NamedTuple):
    """An attempt: from when on it waited for a slot, and when it had one."""

    tenant_id: str
    waited: float
    began: float
    ended: float


@dataclass(frozen=True)
class Runs:
    """Those of one cohort key."""

    runs: Sequence[Run]

    def company_of(self, tenant_id: str) -> float:
        """The share of the tenant's time in which another job was queued or ran."""
        own = np.array([(r.began, r.ended) for r in self.runs if r.tenant_id == tenant_id])
        there = np.array([(r.waited, r.ended) for r in self.runs])
        return _beside(own.reshape(-1, 2), there.reshape(-1, 2))


def _beside(own: Spans, there: Spans) -> float:
    """The share of the stretches `own` [n, 2] in which two or more of `there` [m, 2] lay over one
    another, each of `own` being within one of those.
    """
    moments = there.ravel()
    order = np.argsort(moments, kind="stable")
    open_now = np.cumsum(np.tile([1, -1], len(there))[order])
    moments = moments[order]
    shared = np.concatenate([[0.0], np.cumsum(np.diff(moments) * (open_now[:-1] > 1))])
    total = float((own[:, 1] - own[:, 0]).sum())
    beside = float(np.diff(np.interp(own, moments, shared), axis=1).sum())
    return beside / total if total else 0.0


def runs_by_cohort(window: Window) -> dict[str, Runs]:
    """Attempts that began in the window, by their jobs' cohort key."""
    rows = Attempt.objects.filter(started_at__gte=window.since, started_at__lt=window.until)
    found: dict[str, list[Run]] = {}
    reached: dict[str, float] = {}  # the end of each job's attempt before
    names = ("job__cohort_key", "tenant_id", "job_id", "job__queued_at", "started_at", "ended_at")
    for key, tenant_id, job_id, queued, began, ended in (
        rows.exclude(job__cohort_key="").order_by("job_id", "number").values_list(*names)
    ):
        begin, end = window.stretch(began, ended)
        waited = max(min(window.place(queued or began), begin), reached.get(job_id, 0.0))
        reached[job_id] = end
        found.setdefault(key, []).append(Run(tenant_id, waited, begin, end))
    return {key: Runs(runs) for key, runs in found.items()}
