"""Rate limits: token buckets, kept in Redis, shared by the API and the serving gateway.

A bucket holds `capacity` units and refills evenly, wholly in `period_s` seconds. One request takes
from several buckets at once (requests, tokens), from all of them or from none. The arithmetic
stands twice: as pure functions, and as the script that Redis runs; a test holds them equal.
Where Redis cannot be reached requests pass: a limit protects from load, it does not guard access.
https://en.wikipedia.org/wiki/Token_bucket
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
import structlog
from django.conf import settings

from tenants.kernel.errors import RateLimited

log = structlog.get_logger(__name__)

TAKE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local forced, allowed, levels = ARGV[1] == '1', 1, {}
for i, key in ipairs(KEYS) do
  local capacity, period, cost = tonumber(ARGV[i*3-1]), tonumber(ARGV[i*3]), tonumber(ARGV[i*3+1])
  local kept = redis.call('HMGET', key, 'level', 'at')
  local level, at = tonumber(kept[1]) or capacity, tonumber(kept[2]) or now
  level = math.min(capacity, level + math.max(0, now - at) * capacity / period)
  if level < math.min(cost, capacity) and not forced then allowed = 0 end
  levels[i] = level
end
for i, key in ipairs(KEYS) do
  local period, cost = tonumber(ARGV[i*3]), tonumber(ARGV[i*3+1])
  if allowed == 1 then levels[i] = levels[i] - cost end
  redis.call('HSET', key, 'level', string.format('%.6f', levels[i]),
                          'at', string.format('%.6f', now))
  redis.call('EXPIRE', key, math.ceil(period * 2))
  levels[i] = string.format('%.6f', levels[i])
end
return {allowed, unpack(levels)}
"""


@dataclass(frozen=True)
class Limit:
    """`capacity` units, refilled within `period_s` seconds. `name` is the header's suffix."""

    name: str
    capacity: int
    period_s: float = 60.0

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.capacity / self.period_s


@dataclass(frozen=True)
class Bucket:
    """`level` units at the moment `at` (seconds). Below zero after a forced charge."""

    level: float
    at: float


@dataclass(frozen=True)
class Standing:
    """How one bucket stands after a request. `wait_s` is 0 where the request was let through."""

    limit: Limit
    level: float
    wait_s: float

    @property
    def remaining(self) -> int:
        return max(0, math.floor(self.level))

    @property
    def reset_s(self) -> float:
        """Seconds until the bucket is full again."""
        return max(0.0, (self.limit.capacity - self.level) / self.limit.rate)


@dataclass(frozen=True)
class Verdict:
    """Whether a request may pass, and how every bucket stands after it."""

    allowed: bool
    standings: tuple[Standing, ...]

    def headers(self) -> dict[str, str]:
        """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, as OpenAI names them."""
        found: dict[str, str] = {}
        for standing in self.standings:
            name = standing.limit.name
            found[f"x-ratelimit-limit-{name}"] = str(standing.limit.capacity)
            found[f"x-ratelimit-remaining-{name}"] = str(standing.remaining)
            found[f"x-ratelimit-reset-{name}"] = f"{standing.reset_s:.3f}s"
        return found

    def require(self) -> None:
        """Raises RateLimited, saying which limit and how long to wait."""
        if self.allowed:
            return
        worst = max(self.standings, key=lambda standing: standing.wait_s)
        raise RateLimited(
            f"rate limit reached: {worst.limit.capacity} {worst.limit.name} in "
            f"{worst.limit.period_s:g} s; try again in {worst.wait_s:.3f} s",
            retry_after=worst.wait_s,
        )


def refill(bucket: Bucket | None, limit: Limit, now: float) -> Bucket:
    """The bucket as it stands at `now`; a fresh one is full."""
    if bucket is None:
        return Bucket(float(limit.capacity), now)
    gained = max(0.0, now - bucket.at) * limit.rate
    return Bucket(min(float(limit.capacity), bucket.level + gained), now)


def take(
    buckets: Sequence[Bucket | None],
    limits: Sequence[Limit],
    costs: Sequence[float],
    now: float,
    *,
    forced: bool = False,
) -> tuple[bool, tuple[Bucket, ...]]:
    """Take `costs` from all buckets or from none. A cost above the capacity needs a full bucket."""
    full = [refill(bucket, limit, now) for bucket, limit in zip(buckets, limits, strict=True)]
    enough = (
        bucket.level >= min(cost, limit.capacity)
        for bucket, limit, cost in zip(full, limits, costs, strict=True)
    )
    if not (forced or all(enough)):
        return False, tuple(full)
    return True, tuple(
        Bucket(bucket.level - cost, now) for bucket, cost in zip(full, costs, strict=True)
    )


def verdict(
    *,
    allowed: bool,
    levels: Sequence[float],
    limits: Sequence[Limit],
    costs: Sequence[float],
) -> Verdict:
    """What the levels after a request mean for it; the waits are 0 where it was let through."""
    standings = tuple(
        Standing(
            limit=limit,
            level=level,
            wait_s=0.0 if allowed else max(0.0, (min(cost, limit.capacity) - level) / limit.rate),
        )
        for limit, level, cost in zip(limits, levels, costs, strict=True)
    )
    return Verdict(allowed, standings)


def tenant_limits() -> tuple[Limit, Limit]:
    """What a tenant may ask for: (requests, tokens) per minute."""
    return (
        Limit("requests", settings.RATE_LIMIT_REQUESTS),
        Limit("tokens", settings.RATE_LIMIT_TOKENS),
    )


def take_from(owner: str, limits: Sequence[Limit], costs: Sequence[float]) -> Verdict:
    """Take from the buckets of `owner` (a tenant's id, an address)."""
    try:
        answer = _sync_script()(keys=_keys(owner, limits), args=_args(limits, costs))
    except redis.RedisError as error:
        return _open(error, limits, costs)
    return _read(answer, limits, costs)


async def take_from_async(
    owner: str, limits: Sequence[Limit], costs: Sequence[float], *, forced: bool = False
) -> Verdict:
    """As `take_from`, for the gateway. `forced` books what was used in fact, even below zero."""
    args = _args(limits, costs, forced=forced)
    try:
        answer = await _async_script()(keys=_keys(owner, limits), args=args)
    except redis.RedisError as error:
        return _open(error, limits, costs)
    return _read(answer, limits, costs)


_OPTIONS: Mapping[str, Any] = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}


@cache
def _sync_script() -> Any:
    client = redis.Redis.from_url(settings.REDIS_URL, **_OPTIONS)
    return client.register_script(TAKE)


def _async_script() -> Any:
    """The script on a client of the running event loop: connections belong to one loop."""
    loop = asyncio.get_running_loop()
    if loop not in _async_scripts:
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL, **_OPTIONS)
        _async_scripts[loop] = client.register_script(TAKE)
    return _async_scripts[loop]


_async_scripts: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()


def _keys(owner: str, limits: Sequence[Limit]) -> list[str]:
    return [f"rate:{owner}:{limit.name}" for limit in limits]


def _args(limits: Sequence[Limit], costs: Sequence[float], *, forced: bool = False) -> list[str]:
    numbers = [
        str(number)
        for limit, cost in zip(limits, costs, strict=True)
        for number in (limit.capacity, limit.period_s, cost)
    ]
    return ["1" if forced else "0", *numbers]


def _read(answer: Sequence[Any], limits: Sequence[Limit], costs: Sequence[float]) -> Verdict:
    levels = [float(level) for level in answer[1:]]
    return verdict(allowed=bool(answer[0]), levels=levels, limits=limits, costs=costs)


def _open(error: Exception, limits: Sequence[Limit], costs: Sequence[float]) -> Verdict:
    log.warning("rate limits are off: Redis does not answer", error=str(error))
    levels = [float(limit.capacity) for limit in limits]
    return verdict(allowed=True, levels=levels, limits=limits, costs=costs)
