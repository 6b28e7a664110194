"""An event of the tests' own, and a handler table that remembers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from tenants.kernel.events import Event
from tenants.kernel.outbox import HandlerTable, Subscription, emit
from tenants.kernel.scope import tenant_scope

TENANT = "ten_1"


@dataclass(frozen=True)
class Moved(Event, name="test.moved", aggregate="thing_id"):
    thing_id: str
    step: int


@dataclass(frozen=True)
class Weighed(Event, name="test.weighed", aggregate="thing_id"):
    """A field of every kind that an event may hold."""

    thing_id: str
    count: int
    share: float
    is_heavy: bool
    weight: Decimal
    at: dt.datetime
    note: str | None
    limit: Decimal | None
    until: dt.datetime | None
    tags: tuple[str, ...]
    steps: tuple[Decimal, ...]
    times: tuple[dt.datetime, ...]


def moved(thing_id: str, step: int, tenant_id: str | None = TENANT) -> Moved:
    return Moved(tenant_id=tenant_id, thing_id=thing_id, step=step)


def emitted(*events: Event) -> None:
    """Events of one tenant, committed in one transaction."""
    with tenant_scope(TENANT):
        emit(*events)


def table(*handlers: Callable[[Event], None]) -> HandlerTable:
    subscriptions = [Subscription(f"handler-{n}", handle) for n, handle in enumerate(handlers)]
    return {Moved: subscriptions}


class Memory:
    """A handler that remembers what it saw, and fails where it is told to."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.fails_on: set[tuple[str, int]] = set()

    def __call__(self, event: Event) -> None:
        assert isinstance(event, Moved)
        if (event.thing_id, event.step) in self.fails_on:
            raise RuntimeError(f"cannot move {event.thing_id} now")
        self.seen.append((event.thing_id, event.step))

    def steps(self, thing_id: str) -> list[int]:
        return [step for thing, step in self.seen if thing == thing_id]
