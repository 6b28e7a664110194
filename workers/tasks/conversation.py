"""One attempt's side of the talk with a child: what it says is stored under the attempt's token.

The parent's thread hands it the child's frames, one by one; it returns the answers. Every ending is
one of its methods.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import structlog

from tenants.kernel.errors import BreakwaterError, FencedOut
from workers.assets.storage import folder_write
from workers.jobs.claims import Claim
from workers.jobs.kinds import FailureKind
from workers.jobs.leases import Line, Orders, Standing
from workers.jobs.models import JobEvent
from workers.jobs.outcomes import (
    job_cancelled,
    job_fail,
    job_finish,
    job_hand_back,
    job_paused,
    snapshot_commit,
)
from workers.jobs.progress import Pace, curve_point, finite, is_kept
from workers.tasks.channel import Frame
from workers.tasks.database import persistently
from workers.tasks.heart import Heart, Voice
from workers.tasks.runs import RUNS
from workers.tasks.runs.run import CannotRun, Context
from workers.tasks.watch import Watch

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Conversation:
    """An attempt under way. `on_new_ground` is called once work is no longer a repetition."""

    def __init__(
        self,
        claim: Claim,
        scratch: Path,
        *,
        heart: Heart,
        watch: Watch,
        draining: threading.Event,
        on_new_ground: Callable[[], None],
    ) -> None:
        self.claim, self.lease = claim, claim.lease
        self.heart, self.watch, self.draining = heart, watch, draining
        self.on_new_ground = on_new_ground
        self.voice = Voice(claim.lease)
        self.context = Context(claim, scratch, self.persist)
        self.run = RUNS[claim.kind](self.context)
        self.pace = Pace()
        self.has_stepped = False
        self.position: tuple[int, ...] = ()
        self.steps = 0
        self._points: set[tuple[int, bool]] = set()  # of the curve, already told

    def prepare(self) -> Mapping[str, Any]:
        """Put files into scratch and return the child's request. Raises CannotRun."""
        request = self.run.prepare()
        self._points = self.context.in_scope(self._points_told)
        return request

    # What the child says

    def answer(self, frame: Frame) -> Mapping[str, Any] | None:
        """Deal with a frame; returns the answer, None where none is owed."""
        if frame["type"] == "beat":
            self.run.on_beat(frame)
            return self._beat(frame)
        if frame["type"] == "event":
            self.voice.says(Line(frame["message"], frame["level"], data=frame["data"]))
            return None
        with self.watch.storing():
            if frame["type"] == "snapshot":
                return self._snapshot(frame)
            return self.run.on_frame(frame)

    def order(self) -> Orders:
        """What the child is to do: the platform's wish; else, while this worker drains, to stop."""
        if self.voice.fenced_out:
            return Orders.CANCEL
        if self.voice.orders is Orders.GO and self.draining.is_set():
            return Orders.PAUSE
        return self.voice.orders

    def _beat(self, frame: Frame) -> Mapping[str, Any]:
        step, self.steps = int(frame["step"]), int(frame["of"])
        metrics = finite(frame["metrics"])
        position = (step, *sorted(frame["cursor"].values()))
        if position > self.position:
            self.position, self.has_stepped = position, True
            self.pace.moved(step, self.watch.moved(step))
        if step > self.claim.high_step:
            self.on_new_ground()
        if is_kept(step, self.steps, metrics):
            self._tell_point(step, metrics)
        self.voice.stands(
            Standing(
                step=step,
                steps=self.steps,
                cursor=frame["cursor"],
                metrics=metrics,
                remaining_s=self.pace.remaining(self.steps),
            )
        )
        return {"command": self.order().value}

    def _tell_point(self, step: int, metrics: Mapping[str, float]) -> None:
        """Each point of the curve once, also where an attempt repeats an earlier one's steps."""
        point = (step, "validation_loss" in metrics)
        if point not in self._points:
            self._points.add(point)
            data = curve_point(step, self.steps, metrics)
            figures = ", ".join(
                f"{k}={data[k]:.4f}" for k in ("train_loss", "valid_loss") if k in data
            )
            self.voice.says(
                Line(f"Step {step}/{self.steps}: {figures}", event_type="metrics", data=data)
            )

    def _points_told(self) -> set[tuple[int, bool]]:
        rows = JobEvent.objects.filter(job_id=self.lease.job_id, type="metrics")
        return {(int(d["step"]), "valid_loss" in d) for d in rows.values_list("data", flat=True)}

    def _snapshot(self, frame: Frame) -> Mapping[str, Any]:
        """Seal under the token, then move the pointer.

        So a zombie's bytes never lie where others look.
        """
        step = int(frame["step"])
        lease = self.lease
        stored = folder_write(
            tenant_id=lease.tenant_id,
            key=f"{lease.tenant_id}/jobs/{lease.job_id}/{lease.token}/{step:08d}",
            folder=Path(frame["folder"]),
            data_key=self.context.data_key,
        )
        usage = tuple(self.context.usage)
        self.persist(lambda: snapshot_commit(lease=lease, step=step, stored=stored, usage=usage))
        del self.context.usage[: len(usage)]
        return {"sha256": stored.sha256}

    # Endings

    def ended(self, frame: Frame) -> None:
        """The child has told how it ended: the frame of its result."""
        self.leave_if_lost()
        usage = tuple(self.context.usage)
        if frame["outcome"] == "succeeded":
            with self.watch.storing():
                make = self.run.finish(frame)
            self._write(lambda: job_finish(lease=self.lease, usage=usage, make=make))
        elif frame["outcome"] == "failed":
            code = str(frame.get("code", "training_failed"))
            error = {"code": code, "message": frame["error"], "param": None}
            self._fail(FailureKind(frame["failure"]), error)
        else:
            self.stopped(Orders.CANCEL if frame["outcome"] == "cancelled" else Orders.PAUSE)

    def stopped(self, order: Orders) -> None:
        """It has stopped because it was told to, by this order."""
        self.leave_if_lost()
        usage = tuple(self.context.usage)
        if order is Orders.CANCEL:
            self._write(lambda: job_cancelled(lease=self.lease, usage=usage))
        else:
            handed_back = self.voice.orders is Orders.GO
            self._write(lambda: (job_hand_back if handed_back else job_paused)(lease=self.lease))

    def failed(self, error: Exception) -> None:
        """It cannot run (CannotRun: the customer's failure), or else the platform broke."""
        if isinstance(error, CannotRun):
            found = {"code": error.code, "message": str(error), "param": error.param}
            self._fail(FailureKind.CUSTOMER, found)
            return
        log.error("the attempt failed", exc_info=error)
        code = error.code if isinstance(error, BreakwaterError) else "attempt_failed"
        self.broke({"code": code, "message": f"the platform failed: {error}", "param": None})

    def broke(self, error: Mapping[str, Any]) -> None:
        """The platform's failure: the job is tried again elsewhere."""
        self._fail(FailureKind.PLATFORM, error)

    def leave_if_lost(self) -> None:
        """Raises FencedOut where the right to act has gone."""
        if self.heart.is_lost or self.voice.fenced_out:
            raise FencedOut("the lease ran out or was taken over")

    def persist(self, write: Callable[[], T]) -> T:
        """Write, and again while the database is briefly away and the lease still holds."""
        return persistently(write, until=self.heart.lease_until)

    def _fail(self, failure: FailureKind, error: Mapping[str, Any]) -> None:
        self.leave_if_lost()
        usage = tuple(self.context.usage) if failure is FailureKind.CUSTOMER else ()
        self._write(lambda: job_fail(lease=self.lease, failure=failure, error=error, usage=usage))

    def _write(self, write: Callable[[], None]) -> None:
        self.persist(self.voice.flush)
        self.persist(write)
