"""The one state machine of every job: states, final states, allowed moves. Pure."""

from __future__ import annotations

from django.db.models import TextChoices

from tenants.kernel.errors import Conflict


class State(TextChoices):
    VALIDATING = "validating"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Kind(TextChoices):
    FINE_TUNE = "fine_tune"
    COMPRESS = "compress"
    EVALUATE = "evaluate"
    BATCH = "batch"
    SERVE = "serve"
    PIPELINE = "pipeline"
    CAMPAIGN = "campaign"
    PROCURE = "procure"


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
HELD_BY_WORKER = frozenset({State.RUNNING, State.PAUSING, State.CANCELLING})

MOVES: dict[State, frozenset[State]] = {
    State.VALIDATING: frozenset({State.QUEUED, State.FAILED, State.CANCELLED}),
    State.QUEUED: frozenset({State.RUNNING, State.PAUSED, State.CANCELLED, State.FAILED}),
    State.RUNNING: frozenset(
        {State.SUCCEEDED, State.FAILED, State.QUEUED, State.PAUSING, State.CANCELLING}
    ),
    State.PAUSING: frozenset(
        {State.PAUSED, State.CANCELLING, State.SUCCEEDED, State.FAILED, State.RUNNING}
    ),
    State.PAUSED: frozenset({State.QUEUED, State.CANCELLED}),
    State.CANCELLING: frozenset({State.CANCELLED, State.SUCCEEDED, State.FAILED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}


def check_move(old: str, new: State) -> None:
    """Raises Conflict where a job in state `old` cannot become `new`."""
    if new not in MOVES[State(old)]:
        allowed = ", ".join(sorted(MOVES[State(old)])) or "nothing: it has ended"
        raise Conflict(
            f"the job is {old}; it cannot become {new.value} (only {allowed})",
            code="invalid_job_state",
        )
