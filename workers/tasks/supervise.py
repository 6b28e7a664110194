"""One attempt, from claim to ending: the worker's side of a run. Never imports torch.

The parent owns lease, token, database and storage keys; the child owns tensors and scratch. This
thread speaks with the child; `Heart` speaks with the database meanwhile; `Watch` ends what hangs.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import structlog
from django.conf import settings

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
from workers.jobs.progress import curve_point, finite, is_kept
from workers.tasks.channel import ChannelClosed, Frame, FrameRefused
from workers.tasks.database import OUTAGES, brief_connections, persistently
from workers.tasks.heart import Heart
from workers.tasks.process import Child
from workers.tasks.runs import RUNS
from workers.tasks.runs.run import CannotRun, Context, Run
from workers.tasks.watch import Watch

log = structlog.get_logger(__name__)
T = TypeVar("T")

EXIT_S = 2.0  # for a child that has closed its channel to be gone, and its status to be known
TICK_S = 0.2  # how soon orders reach a child that has not begun to step


class Supervision:
    """An attempt under way. `on_new_ground` is called once work is no longer a repetition."""

    def __init__(
        self,
        claim: Claim,
        *,
        claimed_at: float,
        draining: threading.Event,
        on_new_ground: Callable[[], None],
    ) -> None:
        """`claimed_at` is when the claim was asked for, by the monotonic clock."""
        self.claim, self.lease = claim, claim.lease
        self.draining, self.on_new_ground = draining, on_new_ground
        self.heart = Heart(
            lease=claim.lease,
            lease_s=settings.LEASE_S,
            claimed_at=claimed_at,
            deserves_lease=lambda: not self.watch.is_late,
        )
        self.watch = Watch(self.heart.lease_until)
        self.has_stepped = False
        self.position: tuple[int, ...] = ()
        self.steps = 0
        self.points: set[tuple[int, bool]] = set()  # of the curve, already told

    def run(self) -> None:
        """Bring the attempt to an ending, or leave without a word where the lease is lost."""
        with structlog.contextvars.bound_contextvars(
            job_id=self.lease.job_id, tenant_id=self.lease.tenant_id, attempt=self.claim.number
        ):
            try:
                with (
                    brief_connections(),
                    self.heart,
                    self.watch,
                    scratch_folder(self.claim) as folder,
                ):
                    self._run(Context(self.claim, folder, self._persist))
            except FencedOut as error:
                log.warning("left the job to its next attempt", reason=str(error))
            except OUTAGES as error:
                log.warning("left the job: no database within the lease", reason=str(error))

    def _run(self, context: Context) -> None:
        run = RUNS[self.claim.kind](context)
        try:
            request = run.prepare()
            self.points = context.in_scope(self._points_told)
            frame, child = self._with_child(run, context, request)
            self._conclude(run, context, frame, child)
        except CannotRun as error:
            self._fail(
                context,
                FailureKind.CUSTOMER,
                {"code": error.code, "message": str(error), "param": error.param},
            )
        except (FencedOut, *OUTAGES):
            raise
        except Exception as error:  # whatever it was, the job must go on elsewhere
            log.exception("the attempt failed")
            code = error.code if isinstance(error, BreakwaterError) else "attempt_failed"
            self._fail(
                context,
                FailureKind.PLATFORM,
                {"code": code, "message": f"the platform failed: {error}", "param": None},
            )

    # The conversation

    def _with_child(
        self, run: Run, context: Context, request: Mapping[str, Any]
    ) -> tuple[Frame | None, Child]:
        """The child's last frame (None: it ended without one) and the child, which has ended."""
        child = Child(run.entry, context.scratch, network=run.network)
        self.watch.guard(child)
        try:
            return self._converse(child, run, context, request), child
        finally:
            child.end(grace_s=0)
            run.close()

    def _converse(
        self, child: Child, run: Run, context: Context, request: Mapping[str, Any]
    ) -> Frame | None:
        try:
            child.channel.send(request)
            while True:
                frame = child.channel.receive(TICK_S)
                if frame is None:
                    if not self.has_stepped and self._order() is not Orders.GO:
                        return None  # nothing is lost by not even beginning
                    continue
                if frame["type"] in {"result", "crashed"}:
                    return frame
                answer = self._answer(frame, run, context)
                if answer is not None:
                    child.channel.send(answer)
        except (ChannelClosed, FrameRefused) as error:
            self.watch.reason = self.watch.reason or str(error)
            child.wait(EXIT_S)
            return None

    def _answer(self, frame: Frame, run: Run, context: Context) -> Mapping[str, Any] | None:
        if frame["type"] == "beat":
            run.on_beat(frame)
            return self._beat(frame)
        if frame["type"] == "event":
            self.heart.says(Line(frame["message"], frame["level"], data=frame["data"]))
            return None
        with self.watch.storing():
            if frame["type"] == "snapshot":
                return self._snapshot(frame, context)
            return run.on_frame(frame)

    def _beat(self, frame: Frame) -> Mapping[str, Any]:
        step, self.steps = int(frame["step"]), int(frame["of"])
        metrics = finite(frame["metrics"])
        position = (step, *sorted(frame["cursor"].values()))
        if position > self.position:
            self.position, self.has_stepped = position, True
            self.watch.moved(step)
        if step > self.claim.high_step:
            self.on_new_ground()
        if is_kept(step, self.steps, metrics):
            self._tell_point(step, metrics)
        self.heart.stands(
            Standing(
                step=step,
                steps=self.steps,
                cursor=frame["cursor"],
                metrics=metrics,
                remaining_s=self.watch.pace.remaining(self.steps),
            )
        )
        return {"command": self._order().value}

    def _tell_point(self, step: int, metrics: Mapping[str, float]) -> None:
        """Each point of the curve once, also where an attempt repeats an earlier one's steps."""
        point = (step, "validation_loss" in metrics)
        if point not in self.points:
            self.points.add(point)
            data = curve_point(step, self.steps, metrics)
            figures = ", ".join(
                f"{k}={data[k]:.4f}" for k in ("train_loss", "valid_loss") if k in data
            )
            self.heart.says(
                Line(f"Step {step}/{self.steps}: {figures}", event_type="metrics", data=data)
            )

    def _points_told(self) -> set[tuple[int, bool]]:
        rows = JobEvent.objects.filter(job_id=self.lease.job_id, type="metrics")
        return {(int(d["step"]), "valid_loss" in d) for d in rows.values_list("data", flat=True)}

    def _order(self) -> Orders:
        """What the child is to do: the platform's wish; else, while this worker drains, to stop."""
        if self.heart.orders is Orders.GO and self.draining.is_set():
            return Orders.PAUSE
        return self.heart.orders

    def _snapshot(self, frame: Frame, context: Context) -> Mapping[str, Any]:
        """Seal under the token, then move the pointer.

        So a zombie's bytes never lie where others look.
        """
        step = int(frame["step"])
        lease = self.lease
        stored = folder_write(
            tenant_id=lease.tenant_id,
            key=f"{lease.tenant_id}/jobs/{lease.job_id}/{lease.token}/{step:08d}",
            folder=Path(frame["folder"]),
            data_key=context.data_key,
        )
        usage = tuple(context.usage)
        self._persist(lambda: snapshot_commit(lease=lease, step=step, stored=stored, usage=usage))
        del context.usage[: len(usage)]
        return {"sha256": stored.sha256}

    # The ending

    def _conclude(self, run: Run, context: Context, frame: Frame | None, child: Child) -> None:
        self._leave_if_lost()
        outcome = "gone" if frame is None else str(frame.get("outcome", "crashed"))
        usage = tuple(context.usage)
        if frame is not None and outcome == "succeeded":
            with self.watch.storing():
                make = run.finish(frame)
            self._write(lambda: job_finish(lease=self.lease, usage=usage, make=make))
        elif outcome == "cancelled" or (outcome == "gone" and self._stopped_by(Orders.CANCEL)):
            self._write(lambda: job_cancelled(lease=self.lease, usage=usage))
        elif outcome == "paused" or (outcome == "gone" and self._stopped_by(Orders.PAUSE)):
            handed_back = self.heart.orders is Orders.GO
            self._write(lambda: (job_hand_back if handed_back else job_paused)(lease=self.lease))
        elif frame is not None and outcome == "failed":
            failure = FailureKind(frame["failure"])
            code = str(frame.get("code", "training_failed"))
            error = {"code": code, "message": frame["error"], "param": None}
            self._fail(context, failure, error)
        else:
            self._fail(context, FailureKind.PLATFORM, self._why(frame, child))

    def _stopped_by(self, order: Orders) -> bool:
        return not self.has_stepped and not self.watch.reason and self._order() is order

    def _why(self, frame: Frame | None, child: Child) -> dict[str, Any]:
        """What to say of a child that ended by itself."""
        if frame is not None:
            reason, code = str(frame["error"]), "child_crashed"
        elif child.status == -9 and "progress" not in self.watch.reason:
            reason, code = "it was killed; most likely memory ran out", "child_killed"
        else:
            reason, code = f"{self.watch.reason} (exit status {child.status})", "child_ended"
        log.warning("the child ended", reason=reason, log=child.log_tail[-4000:])
        return {"code": code, "message": f"the computing process ended: {reason}", "param": None}

    def _fail(self, context: Context, failure: FailureKind, error: Mapping[str, Any]) -> None:
        self._leave_if_lost()
        usage = tuple(context.usage) if failure is FailureKind.CUSTOMER else ()
        self._write(lambda: job_fail(lease=self.lease, failure=failure, error=error, usage=usage))

    def _leave_if_lost(self) -> None:
        if self.heart.is_lost:
            raise FencedOut("the lease ran out or was taken over")

    def _write(self, write: Callable[[], None]) -> None:
        self._persist(self.heart.flush)
        self._persist(write)

    def _persist(self, write: Callable[[], T]) -> T:
        return persistently(write, until=self.heart.lease_until)


@contextmanager
def scratch_folder(claim: Claim) -> Iterator[Path]:
    """A private folder for the attempt's plaintext, gone at the end."""
    root = Path(settings.SCRATCH_DIR)
    root.mkdir(parents=True, exist_ok=True)
    folder = root / claim.lease.attempt_id
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
