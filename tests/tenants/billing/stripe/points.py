"""Every point of a flow, as a place to die at: each request to Stripe, and each commit.

`Killed` is no Exception: like SIGKILL, nothing catches it and nothing is cleaned up but what the
database does by itself.
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
BEFORE, AFTER, UNHEARD, UNREACHED = "before", "after", "unheard", "unreached"


class Killed(BaseException):
    """The process is no more."""


@dataclass(frozen=True)
class Point:
    """The `number`-th request or commit of a flow, and what happens there.

    `before` and `after`: the process dies. `unheard`: Stripe acts, and its answer is lost, the
    SDK's retry too. `unreached`: Stripe is away.
    """

    what: str
    when: str
    number: int


class Counting:
    """Counts requests and commits; at `point` it strikes, once."""

    def __init__(self, world: World, point: Point | None) -> None:
        self.world, self.point = world, point
        self.counts = {REQUEST: 0, COMMIT: 0}
        self.struck = False
        self.is_watching = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """What happens inside counts."""
        self.is_watching = True
        try:
            yield
        finally:
            self.is_watching = False

    def count(self, what: str) -> None:
        if self.is_watching:
            self.counts[what] += 1

    def meets(self, what: str, when: str) -> bool:
        here = Point(what, when, self.counts[what])
        hit = self.is_watching and self.point == here and not self.struck
        self.struck = self.struck or hit
        return hit


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


def points_of(counts: Counting) -> list[Point]:
    """Every point of a flow that was run once without a fault."""
    whens = {REQUEST: (BEFORE, AFTER, UNHEARD, UNREACHED), COMMIT: (BEFORE, AFTER)}
    return [
        Point(what, when, number)
        for what, count in counts.counts.items()
        for number in range(1, count + 1)
        for when in whens[what]
    ]


def _watch_requests(patch: pytest.MonkeyPatch, counts: Counting) -> None:
    original = HTTPClient.request_with_retries

    def asked(self: Any, *args: Any, **kwargs: Any) -> Any:
        counts.count(REQUEST)
        if counts.meets(REQUEST, BEFORE):
            raise Killed
        if counts.meets(REQUEST, UNHEARD):
            counts.world.control.fault(What.LOSE, times=2)
        if counts.meets(REQUEST, UNREACHED):
            counts.world.control.fault(What.REFUSE, times=2)
        answer = original(self, *args, **kwargs)
        if counts.meets(REQUEST, AFTER):
            raise Killed
        return answer

    patch.setattr(HTTPClient, "request_with_retries", asked)


def _watch_commits(patch: pytest.MonkeyPatch, counts: Counting) -> None:
    original = BaseDatabaseWrapper.commit

    def commit(self: Any) -> None:
        counts.count(COMMIT)
        if counts.meets(COMMIT, BEFORE):
            self.close()  # the server rolls back what a dead client left
            raise Killed
        original(self)
        if counts.meets(COMMIT, AFTER):
            raise Killed

    patch.setattr(BaseDatabaseWrapper, "commit", commit)
