"""What staff do with prices and contracts over the API, and what each route refuses."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tenants.kernel.clock import now
from tenants.pricing.defaults import FIRST_VERSION, LIST_BOOK
from tests.saas.api.factories import Caller
from tests.saas.money import cost_measured

pytestmark = pytest.mark.django_db

DAY = 86_400
VERSIONS = f"/operator/v1/price_books/{LIST_BOOK}/versions"


def unix(moment: dt.datetime) -> int:
    return int(moment.timestamp())


def prices(operator: Caller, **units: str) -> list[dict[str, Any]]:
    """The list's first prices, some meters' unit price (`tokens_trained="0.05"`) changed."""
    found: list[dict[str, Any]] = operator.get(f"/operator/v1/price_versions/{FIRST_VERSION}").json[
        "prices"
    ]
    for price in found:
        if unit := units.get(price["meter"].replace(".", "_")):
            price["charge"] = {**price["charge"], "unit": unit}
    return found


def test_a_price_below_floor_is_refused_with_its_arithmetic_until_overridden(
    api: Caller, operator: Caller
) -> None:
    assert api.tenant is not None
    cost_measured(api.tenant, "ftjob-1")
    draft = operator.post(VERSIONS, {"prices": prices(operator, tokens_trained="0.05")}).json
    where = f"/operator/v1/price_versions/{draft['id']}/publish"
    override = {
        "meter": "tokens.trained",
        "book_id": LIST_BOOK,
        "reason": "until the rival gives in",
        "expires_at": unix(now()) + DAY,
    }

    refused = operator.post(where, {})
    granted = operator.post("/operator/v1/price_overrides", override)
    published = operator.post(where, {})

    assert (refused.status, refused.error["code"]) == (400, "price_below_floor")
    assert "0.05" in refused.error["message"]
    assert (granted.status, granted.json["book_id"]) == (201, LIST_BOOK)
    assert published.status == 200, published.content
    listed = operator.get("/operator/v1/price_overrides").json["data"]
    assert [row["id"] for row in listed] == [granted.json["id"]]
    assert operator.get(VERSIONS).json["data"][0]["published_at"] is not None


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"book_id": ""}, 400),
        ({"tenant_id": "ten_x"}, 400),
        ({"book_id": "book_x"}, 404),
        ({"meter": "tokens.imagined"}, 400),
        ({"reason": "because"}, 400),
        ({"expires_at": 5}, 400),
        ({"expires_at": unix(now()) + 400 * DAY}, 400),
    ],
)
def test_a_faulty_override_is_refused(
    operator: Caller, change: dict[str, object], status: int
) -> None:
    body = {
        "meter": "tokens.trained",
        "book_id": LIST_BOOK,
        "reason": "until the rival gives in",
        "expires_at": unix(now()) + DAY,
    }

    assert operator.post("/operator/v1/price_overrides", body | change).status == status
    assert operator.get("/operator/v1/price_overrides").json["data"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": ""}, 400),
        ({"name": "x", "currency": "usd"}, 400),
        ({"name": "x", "tenant_id": "ten_x"}, 404),
    ],
)
def test_a_faulty_book_is_refused(operator: Caller, body: dict[str, str], status: int) -> None:
    assert operator.post("/operator/v1/price_books", body).status == status
    assert len(operator.get("/operator/v1/price_books").json["data"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"meter": "tokens.imagined"},
        {"revenue": "luck"},
        {"charge": {"model": "wish"}},
        {"charge": {"model": "standard"}},
        {"charge": {"model": "standard", "unit": "-1"}},
        {"charge": {"model": "standard", "unit": "NaN"}},
        {"charge": {"model": "standard", "unit": 0.1}},
        {"match": {"colour": "red"}},
    ],
)
def test_a_faulty_price_is_refused(operator: Caller, change: dict[str, object]) -> None:
    first, *rest = prices(operator)

    reply = operator.post(VERSIONS, {"prices": [first | change, *rest]})

    assert reply.status == 400, reply.content
    assert len(operator.get(VERSIONS).json["data"]) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [({"currency": "EUR"}, "currency_mismatch"), ({"valid_from": 5}, "invalid_value")],
)
def test_a_version_is_not_published_for_the_past_or_another_currency(
    operator: Caller, body: dict[str, object], code: str
) -> None:
    draft = operator.post(VERSIONS, {"prices": prices(operator)}).json

    reply = operator.post(f"/operator/v1/price_versions/{draft['id']}/publish", body)

    assert (reply.status, reply.error["code"]) == (400, code)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"tenant_id": "ten_x"}, 404),
        ({"book_id": "book_x"}, 404),
        ({"pinned_version_id": "bookv_x"}, 404),
        ({"discount": "1.5"}, 400),
        ({"discount": "-0.1"}, 400),
        ({"commitment": "-1"}, 400),
        ({"commitment": "10", "cap": "5"}, 400),
        ({"starts": 5}, 400),
        ({"ends": 5}, 400),
        ({"currency": "EUR"}, 400),
        ({"currency": "XXX"}, 400),
        ({"credit_limit": "1e40"}, 400),
    ],
)
def test_a_faulty_contract_is_refused(
    api: Caller, operator: Caller, change: dict[str, str], status: int
) -> None:
    assert api.tenant is not None
    reply = operator.post("/operator/v1/contracts", {"tenant_id": api.tenant.id} | change)

    assert reply.status == status, reply.content
    assert operator.get("/operator/v1/contracts").json["data"] == []


def test_a_contract_ends_once_and_not_in_the_past(api: Caller, operator: Caller) -> None:
    assert api.tenant is not None
    made = operator.post("/operator/v1/contracts", {"tenant_id": api.tenant.id}).json
    where = f"/operator/v1/contracts/{made['id']}"

    assert operator.post(f"{where}/end", {"ends": 5}).status == 400
    assert operator.post(f"{where}/end", {}).status == 200
    assert operator.post(f"{where}/end", {}).status == 404
    assert operator.get(where).json["ends"] is not None
