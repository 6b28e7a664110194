"""What each kind of work is: where it queues, how its ids begin, how often a failure is tried
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from workers.jobs.states import Kind


class FailureKind(StrEnum):
    """Whose failure it was."""

    CUSTOMER = "customer"  # bad data or settings: never tried again
    PLATFORM = "platform"  # crash, lost worker, out of memory: tried again from the last snapshot
    PLUGIN = "plugin"  # a partner's code


@dataclass(frozen=True)
class KindRules:
    """How jobs of one kind are queued, tried again and charged.

    `family` is the queue's first half. `tries` caps failures in a row that brought no new snapshot.
    `within_cap` says whether a running job counts towards its tenant's `max_running_jobs`. Of
    what `is_charged`, a quote's upper bound is a promise where it is `firm_bound`; else it is an
    estimate that work may pass, as far as credit reaches.
    """

    family: str
    id_prefix: str
    tries: Mapping[FailureKind, int] = field(
        default_factory=lambda: {
            FailureKind.CUSTOMER: 1,
            FailureKind.PLATFORM: 5,
            FailureKind.PLUGIN: 2,
        }
    )
    within_cap: bool = True
    is_charged: bool = True
    firm_bound: bool = True


KINDS: Mapping[Kind, KindRules] = {
    Kind.FINE_TUNE: KindRules("train", "ftjob-"),
    Kind.EVALUATE: KindRules("infer", "evaljob_"),
    Kind.SERVE: KindRules("serve", "servejob_", within_cap=False, is_charged=False),
    Kind.COMPRESS: KindRules("compress", "job_"),
    Kind.BATCH: KindRules("infer", "job_", firm_bound=False),
    Kind.PIPELINE: KindRules("pipeline", "job_", firm_bound=False),
    Kind.CAMPAIGN: KindRules("pipeline", "job_", is_charged=False),
    Kind.PROCURE: KindRules("pipeline", "plan_", is_charged=False),
}

FAMILIES = ("train", "compress", "infer", "pipeline", "serve")
WORKER_CLASSES = ("cpu", "gpu", "tpu")
QUEUES = tuple(f"{family}.{device}" for family in FAMILIES for device in WORKER_CLASSES)
CONTROL = "control"  # short periodic work; never a job
REVIEW = "review"  # partners' wheels under the conformance kit: minutes, one at a time a process

MAX_BACK_OFF_S = 60.0


def retry_delay_s(failures: int) -> float:
    """Seconds until the next try after `failures` in a row: 1, 2, 4 … at most a minute."""
    return min(MAX_BACK_OFF_S, 2.0 ** max(failures - 1, 0))
