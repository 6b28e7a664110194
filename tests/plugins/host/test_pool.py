"""Warm children: the latest used stay, whatever stood idle before."""

from __future__ import annotations

from typing import cast

from plugins.host.pool import Key, Pool
from plugins.host.process import Child


class Idle:
    """A child at the pool's border: no process, and whether it was ended."""

    def __init__(self) -> None:
        self.closed = False

    def alive(self) -> bool:
        return not self.closed

    def cpu_s(self) -> float:
        return 0.0

    def close(self) -> None:
        self.closed = True


def used(pool: Pool, key: Key) -> Idle:
    with pool.child(key, lambda: cast("Child", Idle()), spare_s=1.0) as child:
        return cast("Idle", child)


def test_a_full_pool_ends_the_one_that_was_idle_the_longest() -> None:
    pool = Pool(most_idle=2)
    first, second, third = (used(pool, ("p", "1", tenant)) for tenant in "abc")
    assert [each.closed for each in (first, second, third)] == [True, False, False]
    assert used(pool, ("p", "1", "c")) is third
    assert used(pool, ("p", "1", "b")) is second
    pool.close()
    assert (second.closed, third.closed) == (True, True)
    assert used(pool, ("p", "1", "b")).closed  # a closed one keeps none
