"""One attempt with a child to itself, from claim to ending: the worker's side. Never imports torch.

The parent owns lease, token, database and storage keys; the child owns tensors and scratch. This
thread speaks with the child; `Heart` speaks with the database meanwhile; `Watch` ends what hangs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings

from tenants.kernel.errors import FencedOut
from workers.jobs.claims import Claim
from workers.jobs.leases import Orders, renew
from workers.tasks.channel import ChannelClosed, Frame, FrameRefused
from workers.tasks.conversation import Conversation
from workers.tasks.database import OUTAGES, brief_connections
from workers.tasks.heart import Heart
from workers.tasks.process import Child
from workers.tasks.scratch import scratch_folder
from workers.tasks.watch import Watch

log = structlog.get_logger(__name__)

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
            renew=lambda lease_s: {self.lease.attempt_id: renew(lease=self.lease, lease_s=lease_s)},
            lease_s=settings.LEASE_S,
            claimed_at=claimed_at,
            deserves_lease=lambda: not self.watch.is_late,
        )
        self.watch = Watch(self.heart.lease_until)
        self.talk: Conversation | None = None

    @property
    def position(self) -> tuple[int, ...]:
        """How far the child has said that it is."""
        return self.talk.position if self.talk else ()

    @property
    def has_stepped(self) -> bool:
        """Whether the child has moved forward at all."""
        return self.talk is not None and self.talk.has_stepped

    def run(self) -> None:
        """Bring the attempt to an ending, or leave without a word where the lease is lost."""
        with structlog.contextvars.bound_contextvars(
            job_id=self.lease.job_id, tenant_id=self.lease.tenant_id, attempt=self.claim.number
        ):
            try:
                with (
                    brief_connections(),
                    scratch_folder(self.lease.attempt_id) as folder,
                    self.heart,
                    self.watch,
                ):
                    self._run(self._conversation(folder))
            except FencedOut as error:
                log.warning("left the job to its next attempt", reason=str(error))
            except OUTAGES as error:
                log.warning("left the job: no database within the lease", reason=str(error))

    def _conversation(self, folder: Path) -> Conversation:
        self.talk = Conversation(
            self.claim,
            folder,
            heart=self.heart,
            watch=self.watch,
            draining=self.draining,
            on_new_ground=self.on_new_ground,
        )
        self.heart.join(self.talk.voice)
        return self.talk

    def _run(self, talk: Conversation) -> None:
        try:
            frame, child = self._with_child(talk, talk.prepare())
            self._conclude(talk, frame, child)
        except (FencedOut, *OUTAGES):
            raise
        except Exception as error:  # noqa: BLE001 -- whatever it was, the job must go on elsewhere
            talk.failed(error)

    # The conversation

    def _with_child(
        self, talk: Conversation, request: Mapping[str, Any]
    ) -> tuple[Frame | None, Child]:
        """The child's last frame (None: it ended without one) and the child, which has ended."""
        child = Child(talk.run.entry, talk.context.scratch, network=talk.run.network)
        self.watch.guard(child)
        try:
            return self._converse(child, talk, request), child
        finally:
            child.end(grace_s=0)
            talk.run.close()

    def _converse(
        self, child: Child, talk: Conversation, request: Mapping[str, Any]
    ) -> Frame | None:
        try:
            child.channel.send(request)
            while True:
                frame = child.channel.receive(TICK_S)
                if frame is None:
                    if not talk.has_stepped and talk.order() is not Orders.GO:
                        return None  # nothing is lost by not even beginning
                    continue
                if frame["type"] in {"result", "crashed"}:
                    return frame
                answer = talk.answer(frame)
                if answer is not None:
                    child.channel.send(answer)
        except (ChannelClosed, FrameRefused) as error:
            self.watch.reason = self.watch.reason or str(error)
            child.wait(EXIT_S)
            return None

    # The ending

    def _conclude(self, talk: Conversation, frame: Frame | None, child: Child) -> None:
        talk.leave_if_lost()
        was_stopped = frame is None and not talk.has_stepped and not self.watch.reason
        if frame is not None and frame["type"] == "result":
            talk.ended(frame)
        elif was_stopped and talk.order() is not Orders.GO:
            talk.stopped(talk.order())
        else:
            talk.broke(why_it_ended(frame, child, self.watch))


def why_it_ended(frame: Frame | None, child: Child, watch: Watch) -> dict[str, Any]:
    """What to say of a child that ended by itself."""
    if frame is not None:
        reason, code = str(frame["error"]), "child_crashed"
    elif child.status == -9 and "progress" not in watch.reason:
        reason, code = "it was killed; most likely memory ran out", "child_killed"
    else:
        reason, code = f"{watch.reason} (exit status {child.status})", "child_ended"
    log.warning("the child ended", reason=reason, log=child.log_tail[-4000:])
    return {"code": code, "message": f"the computing process ended: {reason}", "param": None}
