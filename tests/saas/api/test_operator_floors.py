"""What staff do about floors over the API: policy, findings, loss budgets, dated prices."""

from __future__ import annotations

import pytest

from tenants.kernel.clock import now
from tenants.pricing.defaults import LIST_BOOK
from tenants.pricing.services import floors_sweep
from tests.saas.api.factories import Caller, operator_caller
from tests.saas.api.test_query_counts import queries_of
from tests.saas.money import cost_measured
from tests.tenants.pricing.books import contract_make, tenant_make
from tests.tenants.pricing.factories import D
from tests.tenants.pricing.floors_made import DAY, WHY, override, per_million

pytestmark = pytest.mark.django_db

BASE_FLOOR = "0.142857143"  # a dime for a million, at 70% utilisation, rounded up


@pytest.fixture(autouse=True)
def measured(api: Caller) -> None:
    assert api.tenant is not None
    cost_measured(api.tenant, "ftjob-1")


def later(days: float = 10) -> int:
    return int((now() + days * DAY).timestamp())


def proposal(usd: str, **more: object) -> dict[str, object]:
    return {
        "book_id": LIST_BOOK,
        "meter": "tokens.trained",
        "charge": per_million(usd),
        "ends": later(5),
        "note": WHY,
        **more,
    }


def test_prices_stand_beside_their_floors(operator: Caller) -> None:
    (row,) = operator.get("/operator/v1/floors").json["data"]
    assert (row["price_key"], row["effective"], row["floor"]) == (
        "tokens.trained", "4", BASE_FLOOR
    )  # fmt: skip
    assert (row["stop"], row["margin"], row["permit"]) == ("0.1", "3.857142857", "")


def test_the_policy_moves_floors_and_the_sweep_finds_what_lies_below(operator: Caller) -> None:
    held = operator.get("/operator/v1/floor_policy").json
    assert (held["basis"], held["planned_utilisation"]) == ("long_run_high", "0.7")
    sent = {"planned_utilisation": "0.02", "margin": "0.2", "reason": "a war of attrition"}
    changed = operator.post("/operator/v1/floor_policy", sent)
    assert (changed.status, changed.json["margin"], changed.json["days"]) == (200, "0.2", 30)
    assert operator.post("/operator/v1/floor_findings/sweep", {}).json["unallowed"] == 1
    (row,) = operator.get("/operator/v1/floor_findings?state=open").json["data"]
    assert (row["effective"], row["floor"], row["permit"]) == ("4", "6.25", "")
    (lost,) = operator.get("/operator/v1/losses").json["data"]
    assert (lost["net"], lost["due"], lost["loss"]) == ("4", "6.25", "2.25")
    back = {"planned_utilisation": "0.7", "reason": "peace has come"}
    operator.post("/operator/v1/floor_policy", back)
    operator.post("/operator/v1/floor_findings/sweep", {})
    assert operator.get("/operator/v1/floor_findings?state=open").json["data"] == []


def test_a_dated_price_is_proposed_approved_by_another_and_ended(operator: Caller) -> None:
    budget = operator.post(
        "/operator/v1/loss_budgets", {"amount": "5", "reason": WHY, "expires_at": later()}
    ).json
    foreseen = {"quantity": "2000000", "revenue": "0.24", "loss": "0.045"}
    sent = proposal("0.12", loss_budget_id=budget["id"], foreseen=foreseen)
    made = operator.post("/operator/v1/price_proposals", sent)
    assert (made.status, made.json["state"]) == (201, "proposed")
    where = f"/operator/v1/price_proposals/{made.json['id']}"
    own = operator.post(f"{where}/approve", {})
    assert (own.status, own.error["code"]) == (403, "same_person")
    active = operator_caller().post(f"{where}/approve", {})
    assert (active.status, active.json["state"]) == (200, "active")
    (row,) = operator.get("/operator/v1/floors").json["data"]
    assert (row["effective"], row["permit"]) == ("0.12", budget["id"])
    full = operator.get(where).json
    assert (full["foreseen"], full["actual"]["quantity"]) == (foreseen, "0")
    ended = operator.post(f"{where}/end", {"reason": "the rival gave in"})
    assert (ended.json["state"], ended.json["ended_why"]) == ("ended", "the rival gave in")
    assert operator.get("/operator/v1/floors").json["data"][0]["effective"] == "4"
    closed = operator.post(f"/operator/v1/loss_budgets/{budget['id']}/close", {})
    assert closed.json["ended_why"] == "closed"
    assert operator.get("/operator/v1/loss_budgets").json["data"][0]["ended_at"] is not None
    assert operator.get("/operator/v1/price_proposals?state=active").json["data"] == []


def test_below_its_floor_without_a_budget_a_proposal_is_refused_with_its_arithmetic(
    operator: Caller,
) -> None:
    made = operator.post("/operator/v1/price_proposals", proposal("0.12")).json
    where = f"/operator/v1/price_proposals/{made['id']}"
    refused = operator_caller().post(f"{where}/approve", {})
    assert (refused.status, refused.error["code"]) == (400, "price_below_floor")
    assert "0.12" in refused.error["message"]
    assert BASE_FLOOR in refused.error["message"]
    gone = operator.post(f"{where}/refuse", {"reason": "not worth it now"})
    assert gone.json["state"] == "refused"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("loss_budgets", {"amount": "-1", "reason": WHY, "expires_at": later()}),
        ("loss_budgets", {"amount": "1", "reason": "why", "expires_at": later()}),
        ("loss_budgets", {"amount": "1", "reason": WHY, "expires_at": 5}),
        ("loss_budgets", {"amount": "1", "reason": WHY, "expires_at": later(), "currency": "EUR"}),
        ("price_proposals", proposal("-1")),
        ("price_proposals", proposal("1", ends=5)),
        ("price_proposals", proposal("1", starts=253_402_300_799, ends=253_402_300_799)),
        ("price_proposals", proposal("1", match={"colour": "red"})),
        ("floor_policy", {"margin": "1", "reason": WHY}),
        ("floor_policy", {"planned_utilisation": "0", "reason": WHY}),
        ("floor_policy", {"fees": "0.5", "margin": "0.5", "reason": WHY}),
        ("floor_policy", {"basis": "wish", "reason": WHY}),
        ("floor_policy", {"days": 0, "reason": WHY}),
    ],
)
def test_what_is_faulty_is_refused(operator: Caller, path: str, body: dict[str, object]) -> None:
    reply = operator.post(f"/operator/v1/{path}", body)
    assert reply.status == 400, reply.content


def test_customers_see_nothing_of_it(api: Caller) -> None:
    for path in ("floors", "floor_policy", "floor_findings", "losses", "loss_budgets"):
        assert api.get(f"/operator/v1/{path}").status in {401, 403, 404}, path


def test_a_longer_list_of_prices_asks_no_more(operator: Caller) -> None:
    paths = ["/operator/v1/floors", "/operator/v1/floor_findings"]

    def discounted() -> None:
        contract_make(tenant_make(), discount=D("0.1"), cap=D(100))

    def asked() -> list[tuple[int, int]]:
        floors_sweep()
        return [queries_of(operator, path) for path in paths]

    operator.post("/operator/v1/floor_policy", {"margin": "0.99", "reason": "to find them all"})
    override("*", book_id=LIST_BOOK)
    discounted()
    asked()
    before = asked()
    for _ in range(3):
        discounted()
    after = asked()
    assert [rows for rows, _ in after] == [rows + 3 for rows, _ in before]
    assert [queries for _, queries in after] == [queries for _, queries in before]
