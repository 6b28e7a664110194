"""Procurement over the operator's API: offers, a plan worked out by a real child, its adoption."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any

import pytest

from saas.procurement import procurement_submit
from tenants.accounts.roles import Role
from tenants.kernel.scope import system_scope
from tenants.pricing.services import fx_rate_set
from tests.saas.api.factories import Caller, operator_caller, tenant_caller
from tests.saas.api.test_query_counts import queries_of
from tests.tenants.accounts.test_services import together
from tests.tenants.costs.factories import operator as staff
from tests.tenants.costs.plans_made import books_make, wish
from tests.workers.jobs.factories import make_worker
from tests.workers.tasks.factories import start
from workers.jobs.models import Job

pytestmark = pytest.mark.django_db
PROCUREMENT = "/operator/v1/procurement"
OFFERS, PLANS = f"{PROCUREMENT}/offers", f"{PROCUREMENT}/plans"


def offer(resource_id: str, **changes: Any) -> dict[str, Any]:
    """Half the price on demand: 400 hours a month for 720, at 3.60 an hour on demand."""
    fields = {"name": "a year", "resource": resource_id, "months": 12, "capacity": "400"}
    return fields | {"monthly": "720"} | changes


@pytest.fixture
def resource(db: None) -> str:
    return books_make()


@pytest.fixture
def offered(operator: Caller, resource: str) -> str:
    made = operator.post(OFFERS, {"offers": [offer(resource)]})
    assert made.status == 201, made.content
    return str(made.json["data"][0]["id"])


def planned(operator: Caller, **changes: Any) -> str:
    """A plan that a worker has worked out."""
    made = operator.post(PLANS, {"name": "next year", "scenarios": 2, "unseen": 2} | changes)
    assert made.status == 201, made.content
    start(make_worker(), queue="pipeline.cpu").join()
    return f"{PLANS}/{made.json['id']}"


def test_a_plan_is_worked_out_exported_adopted_and_compared(operator: Caller, offered: str) -> None:
    where = planned(operator)
    plan = operator.get(where).json
    assert (plan["state"], plan["in_force"]) == ("succeeded", False)
    assert plan["progress"]["step"] == plan["progress"]["steps"] > 3
    exported = operator.get(f"{where}/result").json
    result = exported["result"]
    assert exported["plan"]["id"] == plan["id"]
    assert {row["offer"] for row in result["purchases"]} == {"a year"}
    assert result["cost"] < result["baselines"]["nothing"]
    rows = list(csv.DictReader(io.StringIO(operator.get(f"{where}/purchases").content.decode())))
    assert rows[0]["month"] == plan["starts"][:7]
    assert float(rows[0]["monthly"]) == 720 * int(rows[0]["units"])
    assert float(rows[0]["cost"]) == pytest.approx(12 * float(rows[0]["monthly"]))

    assert operator.get(f"{where}/actual").json["months"] == []
    adopted = operator.post(f"{where}/adopt", {})
    assert (adopted.status, adopted.json["in_force"]) == (200, True)
    assert operator.post(f"{where}/adopt", {}).json["adopted_at"] == adopted.json["adopted_at"]
    (listed,) = operator.get(PLANS).json["data"]
    assert listed == adopted.json


def test_a_key_makes_one_plan(operator: Caller, offered: str) -> None:
    body = {"name": "once"}
    first = operator.post(PLANS, body, idempotency_key="plan-1")
    again = operator.post(PLANS, body, idempotency_key="plan-1")
    assert first.status == again.status == 201
    assert first.json["id"] == again.json["id"]
    with system_scope():
        assert Job.objects.filter(kind="procure").count() == 1
    other = operator.post(PLANS, body | {"months": 3}, idempotency_key="plan-1")
    assert (other.status, other.error["code"]) == (409, "idempotency_key_reused")


@pytest.mark.django_db(transaction=True)
def test_a_key_that_comes_twice_at_once_makes_one_plan(operator: Caller, offered: str) -> None:
    actor, made = staff(), []

    def submit() -> None:
        with system_scope():
            made.append(procurement_submit(actor=actor, wish=wish(), key="twin").id)

    assert together(submit, submit) == []
    assert made[0] == made[1]
    with system_scope():
        assert Job.objects.filter(kind="procure").count() == 1


def test_without_a_result_there_is_nothing_to_export_or_adopt(
    operator: Caller, offered: str
) -> None:
    made = operator.post(PLANS, {"name": "slow"})
    where = f"{PLANS}/{made.json['id']}"
    for answer in (
        operator.get(f"{where}/result"),
        operator.get(f"{where}/purchases"),
        operator.post(f"{where}/adopt", {}),
    ):
        assert (answer.status, answer.error["code"]) == (409, "plan_not_finished")
    assert operator.post(f"{where}/cancel").json["state"] == "cancelled"


def test_a_service_that_nothing_keeps_ends_in_words(operator: Caller, offered: str) -> None:
    (row,) = operator.get(OFFERS).json["data"]
    limits = {row["resource"]: "0"}
    where = planned(operator, budget="1", service="1", on_demand_limits=limits)
    plan = operator.get(where).json
    assert plan["state"] == "failed"
    assert "no purchases keep the budget and the service" in plan["error"]["message"]


def test_what_changed_meanwhile_is_refused(operator: Caller, resource: str, offered: str) -> None:
    where = planned(operator)
    operator.post(OFFERS, {"offers": [offer(resource, monthly="721")]})
    refused = operator.post(f"{where}/adopt", {})
    assert (refused.status, refused.error["code"]) == (409, "offer_changed")
    assert "'a year'" in refused.error["message"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"months": 0}, "months"),
        ({"monthly": "-1"}, "monthly"),
        ({"upfront": "0.0000001"}, "upfront"),
        ({"capacity": "0"}, "capacity"),
        ({"available": -1}, "available"),
        ({"currency": "XXQ"}, "currency"),
        ({"resource": "worker.none"}, "resource"),
        ({"kind": "leased"}, "offers.0.kind"),
        ({"name": ""}, "offers.0.name"),
    ],
)
def test_an_offer_that_makes_no_sense_is_refused_by_name(
    operator: Caller, resource: str, change: dict[str, Any], param: str
) -> None:
    refused = operator.post(OFFERS, {"offers": [offer(resource, **change)]})
    assert refused.status in {400, 404}, refused.content
    assert refused.error["param"] is not None
    assert refused.error["param"].split(".")[-1].split("]")[-1] == param.rsplit(".", maxsplit=1)[-1]
    assert operator.get(OFFERS).json["data"] == []


def test_offers_are_read_from_a_file_all_or_none(operator: Caller, resource: str) -> None:
    head = "name,resource,months,capacity,upfront,monthly,currency,kinds,until\n"
    good = f"a year,{resource},12,400,0,720,USD,serve fine_tune,2099-12-31\n"
    read = operator.post(f"{OFFERS}/import", {"content": head + good})
    assert read.status == 201, read.content
    (row,) = read.json["data"]
    assert (row["kinds"], row["until"]) == (["fine_tune", "serve"], "2099-12-31")
    again = operator.post(f"{OFFERS}/import", {"content": head + good})
    assert again.json["data"] == read.json["data"]  # the same offer, not another one
    for same in ("\ufeff" + head + good, (head + good).replace("\n", "\r")):
        assert (
            operator.post(f"{OFFERS}/import", {"content": same}).json["data"] == read.json["data"]
        )
    bad = f"two years,{resource},0,400,,650,USD,,\n"
    refused = operator.post(f"{OFFERS}/import", {"content": head + good + bad})
    assert (refused.status, refused.error["param"]) == (400, "months")
    assert refused.error["message"].startswith("line 3: the offer 'two years': its term")
    for content, says in (
        ("name,months\n", "lacks the column resource"),
        (head.replace("kinds", "colour") + good, "no column 'colour'"),
        (head + good.replace("400", "many"), "line 2: capacity cannot be 'many'"),
        (head, "1 to 500 offers, not 0"),
        (head + good + good, "told twice"),
        (head + "\n" + good.replace("400", "many"), "line 3: capacity cannot be 'many'"),
        (head.replace("upfront", "months") + good, "a column is named twice"),
        (head + good.replace("720", "1,720"), "line 2 has more cells than the first"),
        (head + good.replace("a year", '"a year'), "after line 1: unexpected end of data"),
        (head + "x" * 200_000 + good, "after line 1: field larger than field limit"),
        (head + good.replace("fine_tune", "fine-tune"), "no kind of work is 'fine-tune'"),
        (head + good.replace(resource, "worker.none"), "no class of workers 'worker.none'"),
    ):
        assert says in operator.post(f"{OFFERS}/import", {"content": content}).error["message"]
    assert len(operator.get(OFFERS).json["data"]) == 1


def test_a_plan_that_cannot_be_made_says_why(operator: Caller, resource: str) -> None:
    assert operator.post(PLANS, {"name": "none"}).error["code"] == "no_offers"
    assert operator.post(OFFERS, {"offers": []}).error["param"] == "offers"
    operator.post(OFFERS, {"offers": [offer(resource, currency="EUR")]})
    dear = operator.post(PLANS, {"name": "in euros"})
    assert (dear.status, dear.error["code"]) == (400, "fx_missing")
    assert "'a year' is in EUR: no exchange rate" in dear.error["message"]
    with system_scope():
        fx_rate_set(actor=staff(), base="EUR", quote="USD", rate=Decimal("1.08"))
    made = operator.post(PLANS, {"name": "in euros"}, idempotency_key="euros")
    assert made.status == 201
    with system_scope():
        (told,) = Job.objects.get(pk=made.json["id"]).spec["plan"]["case"]["offers"]
    assert told["cost"] == pytest.approx(12 * 720 * 1.08)
    for body, param in (
        ({"service": "1.5"}, "service"),
        ({"penalty": "0.5"}, "penalty"),
        ({"utilisation": "0"}, "utilisation"),
        ({"budget": "-1"}, "budget"),
        ({"months": 0}, "months"),
        ({"on_demand_limits": {"worker.none": "1"}}, "on_demand_limits"),
        ({"suppliers": [{"name": "x", "base": "never", "per_million": "1"}]}, "suppliers"),
    ):
        refused = operator.post(PLANS, {"name": "no"} | body)
        assert refused.status in {400, 404}, refused.content
        assert str(refused.error["param"]).startswith(param), refused.content


def test_demand_from_no_history_is_refused(operator: Caller, db: None) -> None:
    resource = books_make(weeks=5)
    operator.post(OFFERS, {"offers": [offer(resource)]})
    refused = operator.post(PLANS, {"name": "too early"})
    assert (refused.status, refused.error["code"]) == (400, "too_little_history")
    assert "5 weeks" in refused.error["message"]


def test_an_offer_is_withdrawn(operator: Caller, offered: str) -> None:
    gone = operator.post(f"{OFFERS}/{offered}/withdraw")
    assert gone.json["withdrawn_at"] is not None
    assert operator.get(OFFERS).json["data"] == []
    assert operator.post(f"{OFFERS}/{offered}/withdraw").json == gone.json
    assert operator.post(f"{OFFERS}/offer_none/withdraw").status == 404


def test_a_longer_list_asks_no_more(operator: Caller, offered: str) -> None:
    operator.post(PLANS, {"name": "first"})
    one = queries_of(operator, PLANS)
    for number in range(2):
        operator.post(PLANS, {"name": f"next {number}"})
    assert queries_of(operator, PLANS) == (3, one[1])


def test_who_may_start_work_plans_and_who_may_spend_adopts(operator: Caller, offered: str) -> None:
    developer, billing = (operator_caller(role) for role in (Role.DEVELOPER, Role.BILLING))
    made = developer.post(PLANS, {"name": "a draft"})
    assert made.status == 201, made.content
    assert billing.post(PLANS, {"name": "no"}).status == 403
    start(make_worker(), queue="pipeline.cpu").join()
    where = f"{PLANS}/{made.json['id']}"
    assert developer.post(f"{where}/adopt", {}).status == 403
    assert billing.post(f"{where}/adopt", {}).json["in_force"]


def test_customers_neither_see_nor_plan(offered: str) -> None:
    customer = tenant_caller("Curious")
    assert customer.get(OFFERS).status == 403
    assert customer.get(PLANS).status == 403
    assert customer.post(PLANS, {"name": "mine"}).status == 403
    assert customer.post(OFFERS, {"offers": []}).status == 403
