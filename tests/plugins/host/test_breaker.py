"""The circuit breaker by a clock of the test's own, and as calls meet it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

from plugins.host.breaker import Breaker
from plugins.host.calls import PluginHost
from plugins.host.catalog import Plugin
from plugins.host.facts import ITS_OWN, NOT_CALLED, Enabled, Failure, FailureKind
from plugins.host.orders import WorkOrder
from plugins.host.sandbox import Sandbox
from tests.plugins.conftest import strongest_of


def fail(breaker: Breaker, kind: FailureKind, times: int = 1) -> None:
    for _ in range(times):
        breaker.record("p", Failure(kind, "why"))


def test_it_opens_after_failures_in_a_row_and_tries_once_a_pause() -> None:
    now = [0.0]
    breaker = Breaker(failures=3, pause_s=10.0, now=lambda: now[0])
    fail(breaker, "raised", 2)
    breaker.record("p", None)
    fail(breaker, "timeout", 2)
    assert breaker.allows("p")  # never three in a row
    fail(breaker, "crashed")
    assert not breaker.allows("p")
    assert breaker.allows("another")
    now[0] = 10.0
    assert [breaker.allows("p") for _ in range(3)] == [True, False, False]
    fail(breaker, "crashed")
    now[0] = 19.0
    assert not breaker.allows("p")
    now[0] = 20.0
    assert breaker.allows("p")
    breaker.record("p", None)
    assert [breaker.allows("p") for _ in range(3)] == [True] * 3


def test_each_kind_of_failure_is_held_against_the_plugin_or_is_not() -> None:
    not_its_own = {"refused", "cancelled", *NOT_CALLED}
    assert not ITS_OWN & not_its_own
    assert ITS_OWN | not_its_own == set(get_args(FailureKind))


def test_what_is_no_fault_of_the_plugin_does_not_open_it() -> None:
    breaker = Breaker(failures=1)
    for kind in ("cancelled", "refused", "suspended"):
        fail(breaker, kind)
    assert breaker.allows("p")
    health = breaker.health("p")
    assert (health.calls, health.in_a_row, health.open) == (3, 0, False)
    assert health.failures == {"cancelled": 1, "refused": 1, "suspended": 1}


def test_a_plugin_that_keeps_failing_is_suspended(
    sandboxes: dict[str, Sandbox],
    hostile: Plugin,
    host_of: Callable[..., PluginHost],
    tmp_path: Path,
) -> None:
    now = [0.0]
    breaker = Breaker(failures=2, pause_s=10.0, now=lambda: now[0])
    host = host_of(sandboxes[strongest_of(sandboxes)], hostile, breaker=breaker)

    def kind(act: str) -> str | None:
        enabled = Enabled("hostile", {"act": act}, frozenset({"data.datasets"}))
        order = WorkOrder("call", tmp_path)
        (outcome,) = host.call("prepare_dataset", {}, tenant="t", enabled=[enabled], order=order)
        return outcome.failure.kind if outcome.failure else None

    assert [kind("raises"), kind("raises"), kind("good")] == ["raised", "raised", "suspended"]
    assert breaker.health("hostile").open
    now[0] = 10.0
    assert kind("good") is None
    assert not breaker.health("hostile").open
