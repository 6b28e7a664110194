"""A cohort's attempts in one child, from the first claim to the last ending: the worker's side.

As `supervise`, with a conversation for each member. What goes wrong with one ends that one alone;
what goes wrong with the child, or with the lease that they share, ends them all, and each goes on
by itself from its own snapshot.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from django.conf import settings

from tenants.costs.models import CostEntry
from tenants.kernel.errors import FencedOut
from workers.jobs.claims import Claim
from workers.jobs.cohorts import PASS_TOKENS, Room, cohort_end, cohort_join, cohort_renew
from workers.jobs.leases import Orders
from workers.jobs.slots import Purpose, SharedTime, purpose_of
from workers.tasks.channel import ChannelClosed, Frame, FrameRefused
from workers.tasks.child import NO_NETWORK
from workers.tasks.conversation import Conversation
from workers.tasks.database import OUTAGES, brief_connections
from workers.tasks.heart import Heart
from workers.tasks.process import Child
from workers.tasks.scratch import scratch_folder
from workers.tasks.supervise import EXIT_S, TICK_S, why_it_ended
from workers.tasks.watch import Phase, Watch

log = structlog.get_logger(__name__)
T = TypeVar("T")

ENTRY = "workers.tasks.engine_child"
JOIN_EVERY_S = 2.0  # how often a running cohort looks for others
MEMBER = ("key", "spec", "data", "validation", "resume", "adapter")  # of a fine-tune's request
TRAINED, EVALUATED = 2.0, 1.0  # work of a token: backward and forward, or forward only
UNHEARD = {"command": Orders.CANCEL.value, "sha256": ""}  # to who is no member any more


class CohortSupervision:
    """A cohort under way. `purpose` says whom a member's time is for, and what for."""

    def __init__(
        self,
        first: Claim,
        *,
        claimed_at: float,
        draining: threading.Event,
        purpose: Callable[[Claim, str], Purpose],
        prices: Mapping[str, float] | None = None,
    ) -> None:
        """`claimed_at` is when the claim was asked for, by the monotonic clock."""
        self.draining, self.purpose = draining, purpose
        self.room = Room(first, [first], settings.COHORT_MAX, prices or {})
        self.time = SharedTime()
        self.talks: dict[str, Conversation] = {}  # by job
        self.heart = Heart(
            renew=lambda lease_s: cohort_renew(cohort_id=first.cohort_id, lease_s=lease_s),
            lease_s=settings.LEASE_S,
            claimed_at=claimed_at,
            deserves_lease=lambda: not self.watch.is_late,
        )
        self.watch = Watch(self.heart.lease_until)
        self._closes_at = claimed_at + settings.COHORT_OPEN_S
        self._looked_at = float("-inf")
        self._evaluated: dict[str, int] = {}  # tokens, by job, at its last beat

    def run(self) -> None:
        """Bring every member to an ending, or leave without a word those whose lease is lost."""
        cohort_id = self.room.first.cohort_id
        with structlog.contextvars.bound_contextvars(cohort_id=cohort_id):
            try:
                with (
                    brief_connections(),
                    scratch_folder(cohort_id) as folder,
                    self.heart,
                    self.watch,
                ):
                    self._run(folder)
            except FencedOut as error:
                log.warning("left the cohort to the next attempts", reason=str(error))
            except OUTAGES as error:
                log.warning("left the cohort: no database within the lease", reason=str(error))
            finally:
                with suppress(*OUTAGES), brief_connections():
                    cohort_end(cohort_id=cohort_id)

    def _run(self, folder: Path) -> None:
        self.folder = folder
        requests = self._admit(self.room.first)
        requests += [request for claim in self._joiners() for request in self._admit(claim)]
        if not requests:
            return
        work = folder / "work"
        work.mkdir()
        child = Child(ENTRY, work, network=NO_NETWORK)
        self.watch.guard(child)
        try:
            frame = self._converse(child, self._request(requests, work))
        finally:
            child.end(grace_s=0)
        self._conclude(frame, child)

    # Who is in it

    def _admit(self, claim: Claim) -> list[Mapping[str, Any]]:
        """Open a member's files; returns what the child needs of it, nothing where that failed."""
        scratch = self.folder / claim.lease.attempt_id
        scratch.mkdir(mode=0o700)
        talk = Conversation(
            claim,
            scratch,
            heart=self.heart,
            watch=self.watch,
            draining=self.draining,
            on_new_ground=lambda: self.time.enter(self.purpose(claim, CostEntry.Purpose.JOB)),
        )
        self.talks[claim.lease.job_id] = talk
        self.heart.join(talk.voice)
        self.time.enter(self.purpose(claim, purpose_of(claim)))
        request = self._guarded(talk, talk.prepare)
        return [] if request is None else [request]

    def _joiners(self) -> list[Claim]:
        """Others who come in now; nobody while draining, nor long after the cohort's start."""
        now = time.monotonic()
        if self.draining.is_set() or not now < self._closes_at or self.heart.is_lost:
            return []
        if now < self._looked_at + JOIN_EVERY_S:
            return []
        self._looked_at = now
        try:
            return cohort_join(self.room)
        except OUTAGES as error:
            log.warning("nobody joins: the database is away", error=str(error))
            return []

    def _leave(self, talk: Conversation) -> None:
        """The member has ended, or is no longer ours."""
        self.talks.pop(talk.lease.job_id, None)
        self.heart.leave(talk.voice)
        self.time.leave(talk.lease.job_id)
        self.room.members = [m for m in self.room.members if m is not talk.claim]
        for private in (talk.context.scratch, self.folder / "work" / talk.lease.job_id):
            shutil.rmtree(private, ignore_errors=True)

    def _guarded(
        self, talk: Conversation, act: Callable[[], T], *, is_ending: bool = False
    ) -> T | None:
        """Do something for one member; what goes wrong ends that one alone.

        `is_ending`: what is done is to say that it failed. Where that fails too, the member is left
        to whoever hands strays back.
        """
        try:
            return act()
        except FencedOut:
            if self.heart.is_lost:
                raise
            log.warning("left a member to its next attempt", job_id=talk.lease.job_id)
        except OUTAGES:
            raise
        except Exception as error:
            if is_ending:
                log.exception("a member's failure could not be told", job_id=talk.lease.job_id)
            else:
                self._guarded(talk, partial(talk.failed, error), is_ending=True)
        self._leave(talk)
        return None

    # The conversation

    def _request(self, requests: list[Mapping[str, Any]], work: Path) -> Mapping[str, Any]:
        return {
            "work": "cohort",
            "base": requests[0]["base"],
            "members": [_member(each) for each in requests],
            "scratch": str(work),
            "numerics": requests[0]["numerics"],
            "pass_tokens": PASS_TOKENS,
        }

    def _converse(self, child: Child, request: Mapping[str, Any]) -> Frame | None:
        """Until the child has done with all; its last frame, None where it ended without one."""
        try:
            child.channel.send(request)
            while True:
                frame = child.channel.receive(TICK_S)
                if frame is None:
                    continue
                if frame["type"] in {"done", "crashed"}:
                    return frame
                answer = self._answer(frame)
                if answer is not None:
                    child.channel.send(answer)
        except (ChannelClosed, FrameRefused) as error:
            self.watch.reason = self.watch.reason or str(error)
            child.wait(EXIT_S)
            return None

    def _answer(self, frame: Frame) -> Mapping[str, Any] | None:
        if frame["type"] == "joining":
            return self._let_in()
        talk = self.talks.get(frame["key"])
        if frame["type"] == "result":
            if talk is not None:
                self._guarded(talk, lambda: talk.ended(frame))
                self._leave(talk)
            return None
        answer = None if talk is None else self._guarded(talk, lambda: self._heed(talk, frame))
        if answer is None and frame["type"] in {"beat", "snapshot", "checkpoint"}:
            return UNHEARD
        return answer

    def _let_in(self) -> Mapping[str, Any]:
        found = [request for claim in self._joiners() for request in self._admit(claim)]
        if found:
            self.watch.enter(Phase.LOADING)  # reading a newcomer's data holds the others up
        return {"members": [_member(each) for each in found]}

    def _heed(self, talk: Conversation, frame: Frame) -> Mapping[str, Any] | None:
        if frame["type"] == "beat":
            self._count(talk, frame)
        return talk.answer(frame)

    def _count(self, talk: Conversation, frame: Frame) -> None:
        """Whose work the time since the last beats was."""
        job_id, evaluated = talk.lease.job_id, int(frame["cursor"].get("evaluated", 0))
        passes = evaluated - self._evaluated.get(job_id, evaluated)
        self._evaluated[job_id] = evaluated
        trained = float(frame["metrics"].get("tokens", 0.0))
        self.time.worked(job_id, TRAINED * trained + EVALUATED * passes)

    # The ending

    def _conclude(self, frame: Frame | None, child: Child) -> None:
        """Whoever is left when the child has ended goes on elsewhere."""
        if not self.talks:
            return
        crash = frame if frame is not None and frame["type"] == "crashed" else None
        error = why_it_ended(crash, child, self.watch)
        for talk in list(self.talks.values()):
            self._guarded(talk, partial(talk.broke, error))
            self._leave(talk)


def _member(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: request[name] for name in MEMBER}
