"""The replica's one generating thread: each active sequence gets a token in turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from workers.engine.inference.generate import TokenStep
from workers.serving.runtime.turns import Turns

log = structlog.get_logger(__name__)

IDLE_S = 1.0  # a turn without work, so that the thread can be seen to live

Deliver = Callable[[int, TokenStep | Exception], None]


@dataclass
class Request:
    """Sequences that end together. `deliver(index, step)` is called in the generating thread."""

    tenant_id: str
    deliver: Deliver
    cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Nobody listens any more: its sequences leave at their next turn."""
        self.cancelled.set()


@dataclass
class _Sequence:
    request: Request
    index: int
    steps: Iterator[TokenStep]


class Full(Exception):
    """As many sequences as fit are running."""


class Generator(threading.Thread):
    """Fair between tenants, then between a tenant's sequences, step by step."""

    def __init__(self, *, most: int) -> None:
        super().__init__(name="generator", daemon=True)
        self._most = most
        self._turns: Turns[_Sequence] = Turns()
        self._changed = threading.Condition()
        self._active = 0
        self._stopping = False
        self.last_turn = time.monotonic()

    @property
    def active(self) -> int:
        """Sequences under way."""
        return self._active

    def submit(self, request: Request, sequences: list[Iterator[TokenStep]]) -> None:
        """Start sequences of one request. Raises Full where not all of them fit."""
        with self._changed:
            if self._active + len(sequences) > self._most:
                raise Full
            self._active += len(sequences)
            for index, steps in enumerate(sequences):
                self._turns.add(request.tenant_id, _Sequence(request, index, steps))
            self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def run(self) -> None:
        while not self._stopping:
            self.last_turn = time.monotonic()
            self._turn()

    def _turn(self) -> None:
        """One sequence's turn. Nothing of an ended one, not its cache, is held beyond it."""
        with self._changed:
            taken = self._turns.take()
            if taken is None:
                self._changed.wait(IDLE_S)
                return
        group, sequence = taken
        goes_on = self._step(sequence)
        with self._changed:
            if goes_on:
                self._turns.add(group, sequence)
            else:
                self._active -= 1

    def _step(self, sequence: _Sequence) -> bool:
        """One token. False where the sequence has ended."""
        if sequence.request.cancelled.is_set():
            return False
        try:
            step = next(sequence.steps)
        except Exception as error:  # one sequence's failure is not the replica's
            log.exception("a sequence failed")
            sequence.request.deliver(sequence.index, error)
            return False
        sequence.request.deliver(sequence.index, step)
        return step.finish_reason is None
