"""Every point of a flow, as a place to die at.

What a kill leaves behind is what was committed and what Stripe has done. Both change at requests
and at commits only, so dying before each request, before each commit that writes, and losing each
answer, is every state there is: after a commit is before the next request or commit.
`Killed` is no Exception: like SIGKILL, nothing catches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from stripe import HTTPClient

from tests.stripe_server.faults import What
from tests.tenants.billing.stripe.world import World

REQUEST, COMMIT = "request", "commit"
KILLED, UNHEARD, UNREACHED = "killed before", "unheard", "unreached"


class Killed(BaseException):
    """The process is no more."""


@dataclass(frozen=True)
class Point:
    """The `number`-th request or commit of a flow, and what happens there.

    `unheard`: Stripe acts, and its answer is lost, the SDK's own retry's too. `unreached`: Stripe
    is away.
    """

    what: str
    when: str
    number: int


class Counting:
    """Counts requests and commits; at `point` it strikes, once."""

    def __init__(self, world: World, point: Point | None) -> None:
        self.world, self.point = world, point
        self.requests = self.commits = 0
        self.writes: list[int] = []  # commits that changed anything
        self.struck = self.is_watching = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """What happens inside counts."""
        self.is_watching = True
        try:
            yield
        finally:
            self.is_watching = False

    def meets(self, what: str, when: str, number: int) -> bool:
        hit = self.is_watching and not self.struck and self.point == Point(what, when, number)
        self.struck = self.struck or hit
        return hit

    @property
    def points(self) -> list[Point]:
        """Every point of a flow that was run without a fault."""
        whens = (KILLED, UNHEARD, UNREACHED)
        return [
            *(Point(REQUEST, when, n) for n in range(1, self.requests + 1) for when in whens),
            *(Point(COMMIT, KILLED, n) for n in self.writes),
        ]


@contextmanager
def counting(world: World, point: Point | None = None) -> Iterator[Counting]:
    """Count what is watched inside, and strike at `point`."""
    counts = Counting(world, point)
    with pytest.MonkeyPatch.context() as patch:
        _watch_requests(patch, counts)
        _watch_commits(patch, counts)
        yield counts


def survived(step: Callable[[], None]) -> None:
    """Do `step`, and again as a new process where the first one was killed."""
    try:
        step()
    except Killed:
        connections.close_all()
        step()


def _watch_requests(patch: pytest.MonkeyPatch, counts: Counting) -> None:
    original = HTTPClient.request_with_retries

    def asked(self: Any, *args: Any, **kwargs: Any) -> Any:
        counts.requests += counts.is_watching
        if counts.meets(REQUEST, KILLED, counts.requests):
            raise Killed
        if counts.meets(REQUEST, UNHEARD, counts.requests):
            counts.world.control.fault(What.LOSE, times=2)
        if counts.meets(REQUEST, UNREACHED, counts.requests):
            counts.world.control.fault(What.REFUSE, times=2)
        return original(self, *args, **kwargs)

    patch.setattr(HTTPClient, "request_with_retries", asked)


def _watch_commits(patch: pytest.MonkeyPatch, counts: Counting) -> None:
    original = BaseDatabaseWrapper.commit

    def commit(self: Any) -> None:
        counts.commits += counts.is_watching
        if counts.is_watching and counts.point is None and _has_written(self):
            counts.writes.append(counts.commits)
        if counts.meets(COMMIT, KILLED, counts.commits):
            self.close()  # the server rolls back what a dead client left
            raise Killed
        original(self)

    patch.setattr(BaseDatabaseWrapper, "commit", commit)


def _has_written(connection: Any) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")
        return bool(cursor.fetchone()[0])
