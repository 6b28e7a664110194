"""Buckets cover a range once, in pages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.kernel.errors import InvalidInput
from tenants.usage.buckets import COST_WIDTHS, USAGE_WIDTHS, Bucket, BucketPage, bucket_page

DAY = 86400
MIDNIGHT = 20_000 * DAY


def page_of(**asked: Any) -> BucketPage:
    defaults: dict[str, Any] = {
        "start_time": MIDNIGHT,
        "end_time": None,
        "width": "1d",
        "limit": None,
        "page": None,
        "widths": USAGE_WIDTHS,
        "now": MIDNIGHT + 10 * DAY,
    }
    return bucket_page(**defaults | asked)


def all_pages(**asked: Any) -> list[Bucket]:
    """Follow `next_page` to the end."""
    buckets: list[Bucket] = []
    page: str | None = None
    for _ in range(10_000):
        answer = page_of(page=page, **asked)
        buckets += answer.buckets
        page = answer.next_page
        if page is None:
            return buckets
    raise AssertionError("the pages never end")


def test_a_week_of_days_by_default() -> None:
    page = page_of()
    assert [bucket.start for bucket in page.buckets] == [MIDNIGHT + n * DAY for n in range(7)]
    assert page.next_page is not None


def test_without_an_end_the_last_bucket_is_the_one_in_progress() -> None:
    buckets = all_pages(now=MIDNIGHT + 2 * DAY + 5)
    assert buckets[-1] == Bucket(MIDNIGHT + 2 * DAY, MIDNIGHT + 3 * DAY, MIDNIGHT + 2 * DAY)


def test_a_start_in_the_future_has_no_buckets() -> None:
    page = page_of(start_time=MIDNIGHT + 20 * DAY)
    assert (page.buckets, page.next_page) == ((), None)


@given(
    start=st.integers(0, 3 * DAY),
    length=st.integers(1, 3 * DAY),
    width=st.sampled_from(list(USAGE_WIDTHS)),
    limit=st.integers(1, 31),
)
def test_buckets_of_all_pages_join_seamlessly_and_stay_inside_one_whole_unit(
    start: int, length: int, width: str, limit: int
) -> None:
    end = start + length
    buckets = all_pages(start_time=start, end_time=end, width=width, limit=limit)
    assert [b.start for b in buckets] == [start, *(b.end for b in buckets[:-1])]
    assert buckets[-1].end == end
    unit = USAGE_WIDTHS[width].seconds
    for bucket in buckets:
        assert bucket.floor % unit == 0
        assert bucket.floor <= bucket.start < bucket.end <= bucket.floor + unit


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"width": "1w"}, "bucket_width"),
        ({"width": "1h", "widths": COST_WIDTHS}, "bucket_width"),
        ({"limit": 0}, "limit"),
        ({"limit": 32}, "limit"),
        ({"limit": 10**30}, "limit"),
        ({"start_time": -1}, "start_time"),
        ({"start_time": 10**20}, "start_time"),
        ({"end_time": MIDNIGHT}, "end_time"),
        ({"end_time": 10**20}, "end_time"),
        ({"page": "next"}, "page"),
        ({"page": "page_"}, "page"),
        ({"page": "page_١٢"}, "page"),
        ({"page": "page_" + "9" * 5000}, "page"),
    ],
)
def test_a_bad_question_is_refused_by_the_field(asked: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        page_of(**asked)
    assert refused.value.param == param
