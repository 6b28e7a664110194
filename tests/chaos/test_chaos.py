"""kill -9, SIGSTOP past the lease, cut connections at random points of real work: all stays well.

CHAOS_ROUNDS (5) rounds on each broker. A round's seed is in its id and decides the faults' order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from saas.runtime.layout import Layout
from tests.chaos.rabbitmq import is_installed, running_rabbitmq
from tests.chaos.system import Driver, broken_system
from tests.folders import open_folder

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "5"))
EVERYWHERE = "parent child replica relay scheduler control postgres stopped connections".split()

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def on_redis() -> Iterator[Driver]:
    with (
        open_folder() as folder,
        broken_system(Layout(folder / "var"), broker_url=None) as driver,
    ):
        driver.ask(do="prepare")
        yield driver


@pytest.fixture(scope="module")
def on_rabbitmq() -> Iterator[Driver]:
    with (
        open_folder() as folder,
        running_rabbitmq(folder / "broker") as url,
        broken_system(Layout(folder / "var"), broker_url=url) as driver,
    ):
        driver.ask(do="prepare")
        yield driver


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_on_redis_every_job_ends_once_with_the_same_weights(on_redis: Driver, seed: int) -> None:
    answer = on_redis.ask(do="round", seed=seed, faults=[*EVERYWHERE, "redis"])
    assert answer["violations"] == [], answer


def test_every_member_of_a_killed_cohort_ends_once_and_is_charged_once(on_redis: Driver) -> None:
    answer = on_redis.ask(do="cohort", seed=0)
    assert answer["violations"] == [], answer
    for outcomes in answer["attempts"].values():
        assert outcomes[0].startswith("lost"), answer
        assert outcomes[-1].startswith("succeeded"), answer


def test_a_worker_that_wakes_after_its_lease_changes_nothing(on_redis: Driver) -> None:
    answer = on_redis.ask(do="zombie", seed=0, fenced=True)
    assert answer["violations"] == [], answer


def test_the_same_test_fails_with_the_fence_switched_off(on_redis: Driver) -> None:
    answer = on_redis.ask(do="zombie", seed=0, fenced=False)
    assert answer["violations"] != [], answer


@pytest.mark.rabbitmq
@pytest.mark.skipif(not is_installed(), reason="RabbitMQ is not installed (.ci/run installs it)")
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_on_rabbitmq_every_job_ends_once_with_the_same_weights(
    on_rabbitmq: Driver, seed: int
) -> None:
    answer = on_rabbitmq.ask(do="round", seed=seed, faults=EVERYWHERE)
    assert answer["violations"] == [], answer
