"""The generating thread: fair, bounded, and rid of those that nobody listens to."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from workers.engine.inference.generate import TokenStep
from workers.serving.runtime.generating import Full, Generator, Request

Delivered = queue.SimpleQueue


@pytest.fixture
def generator() -> Iterator[Generator]:
    thread = Generator(most=6)
    yield thread
    thread.stop()
    if thread.is_alive():
        thread.join(10)


def steps(count: int) -> Iterator[TokenStep]:
    for number in range(1, count + 1):
        yield TokenStep(number, "", finish_reason="length" if number == count else None)


def request(tenant: str, told: Any) -> Request:
    return Request(tenant, lambda index, step: told.put((tenant, index, step)))


def test_each_active_sequence_gets_a_token_in_turn(generator: Generator) -> None:
    # given two tenants, one with three sequences
    told: Delivered[tuple[str, int, TokenStep]] = queue.SimpleQueue()
    generator.submit(request("a", told), [steps(4) for _ in range(3)])
    generator.submit(request("b", told), [steps(4)])
    # when the thread runs
    generator.start()
    found = [told.get(timeout=10) for _ in range(16)]
    # then they take turns by tenant, and the second is done after eight turns
    assert [tenant for tenant, _, _ in found[:8]] == ["a", "b"] * 4
    assert [index for tenant, index, _ in found[:6] if tenant == "a"] == [0, 1, 2]


def test_what_was_delivered_is_all_and_in_order(generator: Generator) -> None:
    told: Delivered[tuple[str, int, TokenStep]] = queue.SimpleQueue()
    generator.submit(request("a", told), [steps(5), steps(3)])
    generator.start()
    found = [told.get(timeout=10) for _ in range(8)]
    for index, count in ((0, 5), (1, 3)):
        own = [step for _, i, step in found if i == index]
        assert [step.id for step in own] == list(range(1, count + 1))
        assert [step.finish_reason for step in own] == [None] * (count - 1) + ["length"]


def test_more_than_fit_are_refused_whole(generator: Generator) -> None:
    told: Delivered[Any] = queue.SimpleQueue()
    generator.submit(request("a", told), [steps(2) for _ in range(4)])
    with pytest.raises(Full):
        generator.submit(request("b", told), [steps(2) for _ in range(3)])
    assert generator.active == 4
    generator.submit(request("b", told), [steps(2) for _ in range(2)])
    # when they have ended, there is room again
    generator.start()
    for _ in range(12):
        told.get(timeout=10)
    wait_for(lambda: generator.active == 0)
    generator.submit(request("b", told), [steps(2) for _ in range(6)])


def test_a_cancelled_request_leaves_and_its_generator_is_closed(generator: Generator) -> None:
    # given a sequence that says when it is closed
    closed = threading.Event()

    def endless() -> Iterator[TokenStep]:
        try:
            while True:
                yield TokenStep(1, "x")
        finally:
            closed.set()

    told: Delivered[Any] = queue.SimpleQueue()
    work = request("a", told)
    generator.submit(work, [endless()])
    generator.start()
    told.get(timeout=10)
    # when nobody listens any more
    work.cancel()
    # then it is gone, with its key-value cache
    assert closed.wait(10)
    wait_for(lambda: generator.active == 0)


def test_one_failing_sequence_does_not_stop_the_others(generator: Generator) -> None:
    def failing() -> Iterator[TokenStep]:
        raise MemoryError("too large")
        yield

    told: Delivered[tuple[str, int, Any]] = queue.SimpleQueue()
    generator.submit(request("a", told), [failing()])
    generator.submit(request("b", told), [steps(3)])
    generator.start()
    found = [told.get(timeout=10) for _ in range(4)]
    assert [type(step) for tenant, _, step in found if tenant == "a"] == [MemoryError]
    assert [step.id for tenant, _, step in found if tenant == "b"] == [1, 2, 3]


def wait_for(holds: Any) -> None:
    """A thread that has just told us something is about to finish its turn."""
    done = threading.Event()
    for _ in range(1000):
        if holds():
            return
        done.wait(0.01)
    raise AssertionError("it did not become true")
