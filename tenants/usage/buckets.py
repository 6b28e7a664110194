"""Time buckets of the organization/usage and organization/costs pages. Pure.

Buckets stand on whole UTC minutes, hours or days. The first begins at `start_time` and the last
ends at `end_time` where these lie inside a bucket, so that what is stated is what was counted.
https://platform.openai.com/docs/api-reference/usage
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from tenants.kernel.errors import InvalidInput

Width = Literal["1m", "1h", "1d"]


@dataclass(frozen=True)
class WidthLimits:
    seconds: int
    default: int  # buckets on a page
    most: int


USAGE_WIDTHS: dict[str, WidthLimits] = {
    "1m": WidthLimits(60, 60, 1440),
    "1h": WidthLimits(3600, 24, 168),
    "1d": WidthLimits(86400, 7, 31),
}
COST_WIDTHS: dict[str, WidthLimits] = {"1d": WidthLimits(86400, 7, 180)}

_LAST_SECOND = 253402300799  # of the year 9999
_PAGE = "page_"


@dataclass(frozen=True)
class Bucket:
    """[start, end) in Unix seconds; `floor` is the whole minute, hour or day it lies in."""

    start: int
    end: int
    floor: int


@dataclass(frozen=True)
class BucketPage:
    """`next_page` is the cursor of the following page, None on the last."""

    buckets: tuple[Bucket, ...]
    next_page: str | None

    @property
    def since(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.buckets[0].start, dt.UTC)

    @property
    def until(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.buckets[-1].end, dt.UTC)


def bucket_page(
    *,
    start_time: int,
    end_time: int | None,
    width: str,
    limit: int | None,
    page: str | None,
    widths: dict[str, WidthLimits],
    now: int,
) -> BucketPage:
    """Cut [start_time, end_time) into buckets and return those of one page.

    Without `end_time` the last bucket is the one in progress at `now`. Raises InvalidInput.
    """
    limits = _limits(width, widths)
    count = _limit(limit, limits, width)
    _check_second(start_time, "start_time")
    if end_time is None:
        end_time = now - now % limits.seconds + limits.seconds
    elif end_time <= start_time:
        raise InvalidInput("end_time must come after start_time", param="end_time")
    _check_second(end_time, "end_time")
    begin = max(start_time, _cursor(page)) if page else start_time
    buckets: list[Bucket] = []
    while begin < end_time and len(buckets) < count:
        floor = begin - begin % limits.seconds
        end = min(floor + limits.seconds, end_time)
        buckets.append(Bucket(start=begin, end=end, floor=floor))
        begin = end
    return BucketPage(
        buckets=tuple(buckets), next_page=f"{_PAGE}{begin}" if begin < end_time else None
    )


def _limits(width: str, widths: dict[str, WidthLimits]) -> WidthLimits:
    if width not in widths:
        raise InvalidInput(f"bucket_width is one of {', '.join(widths)}", param="bucket_width")
    return widths[width]


def _limit(limit: int | None, limits: WidthLimits, width: str) -> int:
    if limit is None:
        return limits.default
    if not 1 <= limit <= limits.most:
        raise InvalidInput(f"limit is 1 to {limits.most} buckets of {width}", param="limit")
    return limit


def _cursor(page: str) -> int:
    digits = page.removeprefix(_PAGE)
    if not page.startswith(_PAGE) or not (digits.isascii() and digits.isdigit()):
        raise InvalidInput("page is the next_page of an earlier answer", param="page")
    if len(digits) > len(str(_LAST_SECOND)):
        raise InvalidInput("page lies after the last bucket", param="page")
    return int(digits)


def _check_second(value: int, param: str) -> None:
    if not 0 <= value <= _LAST_SECOND:
        raise InvalidInput(f"{param} is in Unix seconds, 0 to {_LAST_SECOND}", param=param)
