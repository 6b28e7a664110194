"""Token buckets: the pure arithmetic, its properties, and the script in Redis beside it."""

from __future__ import annotations

import asyncio
import time

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from tenants.kernel.errors import RateLimited
from tenants.kernel.rate_limits import (
    TAKE,
    Bucket,
    Limit,
    take,
    take_from,
    take_from_async,
    verdict,
)

TEN = Limit("requests", 10, period_s=60)
THOUSAND = Limit("tokens", 1000, period_s=60)


def test_a_fresh_bucket_is_full_and_empties_by_what_is_taken() -> None:
    allowed, (bucket,) = take([None], [TEN], [3], now=0)

    assert allowed
    assert bucket == Bucket(level=7, at=0)


def test_what_was_taken_comes_back_with_time_and_no_further() -> None:
    _, (after_half,) = take([Bucket(0, 0)], [TEN], [0], now=30)
    _, (after_long,) = take([Bucket(0, 0)], [TEN], [0], now=3600)

    assert after_half.level == pytest.approx(5)
    assert after_long.level == 10


def test_all_buckets_give_or_none() -> None:
    allowed, buckets = take([Bucket(5, 0), Bucket(10, 0)], [TEN, THOUSAND], [1, 500], now=0)

    assert not allowed
    assert [bucket.level for bucket in buckets] == [5, 10]


def test_more_than_the_capacity_passes_when_the_bucket_is_full() -> None:
    allowed, (bucket,) = take([None], [TEN], [25], now=0)
    again, _ = take([bucket], [TEN], [1], now=60)

    assert allowed
    assert bucket.level == -15
    assert not again


@given(
    costs=st.lists(st.integers(1, 10), min_size=1, max_size=40),
    gaps=st.lists(st.floats(0, 30), min_size=40, max_size=40),
)
def test_never_more_than_capacity_and_refill_within_any_time(
    costs: list[int], gaps: list[float]
) -> None:
    bucket, now, taken = None, 0.0, 0
    for cost, gap in zip(costs, gaps, strict=False):
        now += gap
        allowed, (bucket,) = take([bucket], [TEN], [cost], now)
        taken += cost if allowed else 0
        assert bucket.level >= -1e-9
    assert taken <= TEN.capacity + now * TEN.rate + 1e-6


def test_the_refusal_says_which_limit_and_how_long_to_wait() -> None:
    refused = verdict(allowed=False, levels=[9, 400], limits=[TEN, THOUSAND], costs=[1, 500])

    with pytest.raises(RateLimited) as raised:
        refused.require()
    assert "tokens" in raised.value.message
    assert raised.value.retry_after == pytest.approx(100 / THOUSAND.rate)
    assert refused.headers()["x-ratelimit-remaining-tokens"] == "400"
    assert refused.headers()["x-ratelimit-reset-requests"] == "6.000s"


@pytest.mark.parametrize("level", [10.0, 4.0, 0.0, -3.0])
@pytest.mark.parametrize("costs", [(0, 0), (1, 10), (5, 10), (1, 2000)])
@pytest.mark.parametrize("forced", [False, True])
def test_redis_counts_as_the_pure_functions_do(
    redis_url: str, level: float, costs: tuple[int, int], forced: bool
) -> None:
    client = Redis.from_url(redis_url)
    client.delete("a", "b")
    seconds, micros = client.time()
    began = seconds + micros / 1e6
    client.hset("a", mapping={"level": level, "at": began})
    args = [
        int(forced),
        *(
            x
            for li, c in zip((TEN, THOUSAND), costs, strict=True)
            for x in (li.capacity, li.period_s, c)
        ),
    ]

    answer = client.eval(TAKE, 2, "a", "b", *args)
    seconds, micros = client.time()
    took = seconds + micros / 1e6 - began

    allowed, buckets = take(
        [Bucket(level, began), None], [TEN, THOUSAND], costs, began, forced=forced
    )
    assert bool(answer[0]) == allowed
    for bucket, found, limit in zip(buckets, answer[1:], (TEN, THOUSAND), strict=True):
        assert bucket.level - 1e-5 <= float(found) <= bucket.level + took * limit.rate + 1e-5
    client.close()


def test_requests_are_counted_by_owner(redis_url: str) -> None:
    limit = (Limit("requests", 2, period_s=3600),)
    owner = f"test-{time.time_ns()}"

    verdicts = [take_from(owner, limit, (1,)) for _ in range(3)]

    assert [verdict.allowed for verdict in verdicts] == [True, True, False]
    assert take_from(f"{owner}-other", limit, (1,)).allowed


def test_the_gateway_shares_the_api_s_buckets_and_may_go_below_zero(redis_url: str) -> None:
    limit = (Limit("tokens", 100, period_s=3600),)
    owner = f"test-{time.time_ns()}"
    assert take_from(owner, limit, (60,)).allowed

    charged = asyncio.run(take_from_async(owner, limit, (90,), forced=True))

    assert charged.allowed
    assert charged.standings[0].level == pytest.approx(-50, abs=0.1)
    assert not take_from(owner, limit, (1,)).allowed


def test_without_redis_requests_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    from tenants.kernel import rate_limits

    rate_limits._sync_script.cache_clear()
    try:
        with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
            assert take_from("anyone", (TEN,), (1,)).allowed
            assert asyncio.run(take_from_async("anyone", (TEN,), (1,))).allowed
    finally:
        rate_limits._sync_script.cache_clear()
