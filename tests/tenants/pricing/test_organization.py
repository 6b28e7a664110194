"""The organization/costs page, checked against the type of the installed `openai` package."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from openai.types.admin.organization.usage_costs_response import UsageCostsResponse

from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import Money
from tenants.kernel.scope import ScopeError, tenant_scope
from tenants.pricing.organization import costs_page
from tenants.usage.organization import UsageQuery
from tests.tenants.pricing.books import charge, item, platform_make, tenant_make
from tests.tenants.pricing.factories import D

pytestmark = pytest.mark.django_db

NOON = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
START = int((NOON - DAY / 2).timestamp())


@pytest.fixture
def tenant() -> str:
    platform_make()
    return tenant_make(credit="100")


def ask(tenant_id: str, **asked: Any) -> list[dict[str, Any]]:
    """Return the buckets of one page, after the SDK's own type has accepted it."""
    query = UsageQuery(**{"start_time": START, "end_time": START + 86400} | asked)
    with tenant_scope(tenant_id):
        page = costs_page(query)
    UsageCostsResponse.model_validate(page, strict=True)
    data: list[dict[str, Any]] = page["data"]
    return data


def test_each_day_has_what_was_charged_on_it(tenant: str) -> None:
    charge(tenant, "a", item("tokens.input", 1_000_000, NOON))
    charge(tenant, "b", item("tokens.output", 1_000_000, NOON + DAY / 4))
    charge(tenant, "c", item("tokens.input", 2_000_000, NOON + DAY))
    days = ask(tenant, end_time=START + 3 * 86400)
    amounts = [[r["amount"] for r in day["results"]] for day in days]
    assert amounts == [
        [{"value": 2.4, "currency": "usd"}],
        [{"value": 1.2, "currency": "usd"}],
        [],
    ]


def test_lines_name_model_and_meter_with_their_quantities(tenant: str) -> None:
    charge(
        tenant,
        "a",
        item("tokens.input", 1_000_000, NOON, model="m1"),
        item("tokens.output", 500_000, NOON, model="m1"),
        item("requests", 1, NOON, model="m1", endpoint="chat.completions"),
        bound=Money(D("1.4"), "USD"),
    )
    results = ask(tenant, group_by=["line_item"])[0]["results"]
    lines = {
        r["line_item"]: (r["amount"]["value"], r["quantity"], r["quantity_unit"]) for r in results
    }
    assert lines == {
        "m1, input_tokens": (0.6, 1_000_000.0, "tokens"),
        "m1, output_tokens": (0.9, 500_000.0, "tokens"),
        "m1, requests": (0.0, 1.0, None),
        "m1, output_tokens, quote_cap": (-0.1, None, None),
    }


def test_groups_and_filters_by_key(tenant: str) -> None:
    charge(tenant, "a", item("tokens.input", 1_000_000, NOON, api_key_id="key_1"))
    charge(tenant, "b", item("tokens.input", 2_000_000, NOON, api_key_id="key_2", user_id="u"))
    both = ask(tenant, group_by=["api_key_id", "user_id"])[0]["results"]
    assert {(r["api_key_id"], r["user_id"]): r["amount"]["value"] for r in both} == {
        ("key_1", None): 0.6,
        ("key_2", "u"): 1.2,
    }
    (one,) = ask(tenant, filters={"api_key_id": ["key_2"]})[0]["results"]
    assert (one["amount"]["value"], one["api_key_id"]) == (1.2, None)
    assert ask(tenant, filters={"project_id": ["proj_1"]})[0]["results"] == []


def test_a_page_speaks_of_whole_days(tenant: str) -> None:
    charge(tenant, "a", item("tokens.input", 1_000_000, NOON))
    (day,) = ask(tenant, start_time=START + 50_000, end_time=START + 60_000)
    assert (day["start_time"], day["end_time"]) == (START, START + 86400)
    assert day["results"][0]["amount"]["value"] == 0.6


def test_pages_follow_one_another(tenant: str) -> None:
    for number in range(3):
        charge(tenant, f"k{number}", item("tokens.input", 1_000_000, NOON + number * DAY))
    seen, cursor = [], None
    while True:
        query = UsageQuery(start_time=START, end_time=START + 3 * 86400, limit=2, page=cursor)
        with tenant_scope(tenant):
            page = costs_page(query)
        seen += [r["amount"]["value"] for day in page["data"] for r in day["results"]]
        cursor = page["next_page"]
        if cursor is None:
            break
    assert seen == [0.6, 0.6, 0.6]


def test_a_tenant_sees_no_other_tenants_costs(tenant: str) -> None:
    charge(tenant, "a", item("tokens.input", 1_000_000, NOON))
    assert ask(tenant_make("Other"))[0]["results"] == []


def test_a_grouping_that_does_not_exist_is_refused(tenant: str) -> None:
    with pytest.raises(InvalidInput):
        ask(tenant, group_by=["model"])


def test_without_a_scope_there_is_no_answer() -> None:
    with pytest.raises(ScopeError):
        costs_page(UsageQuery(start_time=START, end_time=START + 86400))
