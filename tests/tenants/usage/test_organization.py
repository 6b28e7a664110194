"""The organization pages, checked against the types of the installed `openai` package."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from openai.types.admin import organization as openai_types

from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import ScopeError, tenant_scope
from tenants.usage.ingestion import NewUsage
from tenants.usage.organization import KINDS, UsageQuery, usage_page
from tenants.usage.services import usage_record
from tests.tenants.usage.factories import NOON, tenant_make, usage

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)
START = int((NOON - 12 * HOUR).timestamp())


def chat(
    key: str, *, input_tokens: int, output_tokens: int, at: dt.datetime = NOON, **dimensions: str
) -> list[NewUsage]:
    """What the gateway counts for one chat completion."""
    dimensions = {"endpoint": "chat.completions"} | dimensions
    counts = {"tokens.input": input_tokens, "tokens.output": output_tokens, "requests": 1}
    return [
        usage(f"{key}:{meter}", count, meter=meter, at=at, **dimensions)
        for meter, count in counts.items()
    ]


def tenant_with(*events: NewUsage) -> str:
    tenant_id = tenant_make()
    with tenant_scope(tenant_id):
        usage_record(tenant_id=tenant_id, events=events)
    return tenant_id


def ask(tenant_id: str, kind: str = "completions", **asked: Any) -> list[dict[str, Any]]:
    """Return the buckets of one page, after the SDK's own type has accepted it."""
    query = UsageQuery(**{"start_time": START, "end_time": START + 86400} | asked)
    with tenant_scope(tenant_id):
        page = usage_page(kind, query)
    name = "".join(word.capitalize() for word in kind.split("_"))
    model = getattr(openai_types, f"Usage{name}Response")
    model.model_validate(page, strict=True)
    data: list[dict[str, Any]] = page["data"]
    return data


def test_input_output_and_requests_add_up_in_their_hours() -> None:
    tenant_id = tenant_with(
        *chat("a", input_tokens=10, output_tokens=3),
        *chat("b", input_tokens=5, output_tokens=4, at=NOON + HOUR / 2),
        *chat("c", input_tokens=7, output_tokens=1, at=NOON + HOUR),
    )
    buckets = ask(tenant_id, bucket_width="1h")
    found = {
        bucket["start_time"]: (
            result["input_tokens"],
            result["output_tokens"],
            result["num_model_requests"],
        )
        for bucket in buckets
        for result in bucket["results"]
    }
    noon = int(NOON.timestamp())
    assert found == {noon: (15, 7, 2), noon + 3600: (7, 1, 1)}
    assert len(buckets) == 24


def test_cached_tokens_are_part_of_the_input_and_shown_apart() -> None:
    tenant_id = tenant_with(
        *chat("a", input_tokens=10, output_tokens=1),
        usage("a:cached", 90, meter="tokens.cached"),
    )
    (result,) = ask(tenant_id)[0]["results"]
    assert result["input_tokens"] == 100
    assert (result["input_cached_tokens"], result["input_uncached_tokens"]) == (90, 10)


def test_embeddings_and_completions_do_not_count_each_others_requests() -> None:
    tenant_id = tenant_with(
        *chat("a", input_tokens=10, output_tokens=1),
        usage("e", 8, meter="tokens.embedded", endpoint="embeddings"),
        usage("e:requests", 1, meter="requests", endpoint="embeddings"),
        usage("f:requests", 1, meter="requests", endpoint="embeddings"),
    )
    (completions,) = ask(tenant_id, "completions")[0]["results"]
    (embeddings,) = ask(tenant_id, "embeddings")[0]["results"]
    assert completions["num_model_requests"] == 1
    assert (embeddings["input_tokens"], embeddings["num_model_requests"]) == (8, 2)


def test_grouping_names_what_it_groups_by_and_nothing_else() -> None:
    tenant_id = tenant_with(
        *chat("a", input_tokens=1, output_tokens=0, model="m1", api_key_id="key_1"),
        *chat("b", input_tokens=2, output_tokens=0, model="m1", api_key_id="key_2"),
        *chat("c", input_tokens=4, output_tokens=0, model="m2", api_key_id="key_2"),
    )
    by_model = ask(tenant_id, group_by=["model"])[0]["results"]
    assert {r["model"]: r["input_tokens"] for r in by_model} == {"m1": 3, "m2": 4}
    assert {r["api_key_id"] for r in by_model} == {None}
    both = ask(tenant_id, group_by=["api_key_id", "model"])[0]["results"]
    assert {(r["api_key_id"], r["model"]): r["input_tokens"] for r in both} == {
        ("key_1", "m1"): 1,
        ("key_2", "m1"): 2,
        ("key_2", "m2"): 4,
    }


def test_filters_keep_what_they_name() -> None:
    tenant_id = tenant_with(
        *chat("a", input_tokens=1, output_tokens=0, model="m1", api_key_id="key_1"),
        *chat("b", input_tokens=2, output_tokens=0, model="m2", api_key_id="key_1", batch="true"),
    )
    assert ask(tenant_id, filters={"model": ["m2"]})[0]["results"][0]["input_tokens"] == 2
    assert ask(tenant_id, filters={"model": []})[0]["results"][0]["input_tokens"] == 3
    assert ask(tenant_id, filters={"project_id": ["proj_1"]})[0]["results"] == []
    assert ask(tenant_id, batch=True)[0]["results"][0]["input_tokens"] == 2
    assert ask(tenant_id, batch=False)[0]["results"][0]["input_tokens"] == 1


def test_only_what_lies_in_the_stated_range_is_counted() -> None:
    noon = int(NOON.timestamp())
    tenant_id = tenant_with(
        *chat("before", input_tokens=1, output_tokens=0, at=NOON - dt.timedelta(microseconds=1)),
        *chat("first", input_tokens=2, output_tokens=0),
        *chat("last", input_tokens=4, output_tokens=0, at=NOON + HOUR),
    )
    (bucket,) = ask(tenant_id, start_time=noon, end_time=noon + 3600)
    assert (bucket["start_time"], bucket["end_time"]) == (noon, noon + 3600)
    assert bucket["results"][0]["input_tokens"] == 2


def test_pages_follow_one_another_and_lose_nothing() -> None:
    tenant_id = tenant_with(
        *(
            event
            for n in range(10)
            for event in chat(f"r{n}", input_tokens=2**n, output_tokens=0, at=NOON + n * HOUR)
        )
    )
    seen, cursor = 0, None
    for _ in range(24):
        query = UsageQuery(
            start_time=START, end_time=START + 86400, bucket_width="1h", limit=5, page=cursor
        )
        with tenant_scope(tenant_id):
            page = usage_page("completions", query)
        assert len(page["data"]) <= 5
        seen += sum(r["input_tokens"] for bucket in page["data"] for r in bucket["results"])
        cursor = page["next_page"]
        assert page["has_more"] is (cursor is not None)
        if cursor is None:
            break
    assert seen == 2**10 - 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_answers_in_the_sdks_shape_also_with_nothing_to_show(kind: str) -> None:
    tenant_id = tenant_make()
    assert all(bucket["results"] == [] for bucket in ask(tenant_id, kind))


def test_a_tenant_sees_no_other_tenants_usage() -> None:
    tenant_with(*chat("a", input_tokens=10, output_tokens=3))
    assert ask(tenant_make())[0]["results"] == []


def test_a_grouping_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        ask(tenant_make(), "embeddings", group_by=["batch"])
    assert refused.value.param == "group_by"


def test_without_a_scope_there_is_no_answer() -> None:
    with pytest.raises(ScopeError):
        usage_page("completions", UsageQuery(start_time=START, end_time=START + 86400))
