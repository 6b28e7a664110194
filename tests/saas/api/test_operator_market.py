"""The market and campaigns over the API: a file read, a class said, a price war rehearsed."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from tenants.kernel.scope import system_scope
from tenants.market.importing.moves_csv import SHIPPED
from tenants.market.models import AlertDelivery
from tenants.pricing.models import PriceProposal
from tenants.pricing.services import price_proposal_approve
from tests.saas.api.factories import Caller, Reply
from tests.tenants.market.factories import campaign
from tests.tenants.market.market import csv_of, cut, launched, sold
from tests.tenants.pricing.floors_made import another
from tests.workers.jobs.factories import make_worker
from tests.workers.tasks.factories import start
from workers.assets.models import BaseModel

pytestmark = pytest.mark.django_db

MARKET, CAMPAIGNS = "/operator/v1/market", "/operator/v1/campaigns"
FEW = {"policies": [{"name": "hold"}], "months": 3, "paths": 20, "scenarios": 10}


def read(operator: Caller, content: str, **more: Any) -> Reply:
    return operator.post(
        f"{MARKET}/imports", {"format": "moves_csv", "content": content, "name": "x.csv", **more}
    )


def test_a_file_is_read_and_its_trends_stand(operator: Caller) -> None:
    done = read(operator, SHIPPED.read_text("utf-8"))
    assert (done.status, done.json["known"]) == (201, 0)
    assert done.json["added"] == len(SHIPPED.read_text("utf-8").splitlines()) - 1
    trends = {row["model_class"]: row for row in operator.get(f"{MARKET}/trends").json["data"]}
    whole = trends[""]
    assert 0 < whole["yearly_decline"]["low"] < whole["yearly_decline"]["value"] < 1
    assert trends["mid"]["yearly_decline"]["low"] is None
    (listed,) = operator.get(f"{MARKET}/imports").json["data"]
    assert listed["id"] == done.json["id"]
    moves = operator.get(f"{MARKET}/moves?model_class=frontier").json["data"]
    assert [row["date"] for row in moves] == sorted((row["date"] for row in moves), reverse=True)


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"content": "a,b\n1,2\n"}, "unknown_columns", "unknown 'a'"),
        ({"content": csv_of(launched(input_after="1e-6", output_after="2e-6"))},
         "ambiguous_unit", "unit=per_token"),
        ({"format": "price_list_json", "content": "[]"}, "invalid_value", "one object"),
        ({"format": "xml"}, None, "format"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_the_place(
    operator: Caller, change: dict[str, Any], code: str | None, says: str
) -> None:
    refused = operator.post(
        f"{MARKET}/imports", {"format": "moves_csv", "content": csv_of(launched())} | change
    )
    assert refused.status == 400
    assert code in {None, refused.error["code"]}
    assert says in refused.error["message"] + str(refused.error["param"])


def test_our_place_and_the_alert_of_a_rival_who_cut(operator: Caller) -> None:
    sold(cost=Decimal("0.35"))
    read(operator, csv_of(launched(), cut(input_after="0.2", output_after="0.2",
                                          input_before="1", output_before="1")))  # fmt: skip
    (place,) = operator.get(f"{MARKET}/positions").json["data"]
    assert (place["base"], place["rank"]) == ("mini", 2)
    assert place["below_floor"] == ["Acme acme-1"]
    (alert,) = operator.get(f"{MARKET}/alerts").json["data"]
    assert (alert["level"], alert["seen_at"]) == ("below_floor", None)
    seen = operator.post(f"{MARKET}/alerts/{alert['id']}/see")
    assert seen.json["seen_at"] is not None
    assert seen.json["delivery"] is None
    assert operator.post(f"{MARKET}/alerts/{alert['id']}/resend").status == 404
    with system_scope():
        AlertDelivery.objects.create(alert_id=alert["id"], state="dead", last_error="gone")
    again = operator.post(f"{MARKET}/alerts/{alert['id']}/resend")
    assert (again.json["delivery"]["state"], again.json["delivery"]["tries"]) == ("waiting", 0)


def test_a_product_is_classed_and_an_offer_withdrawn(operator: Caller, base: BaseModel) -> None:
    read(operator, csv_of(launched()))
    (row,) = operator.get(f"{MARKET}/products").json["data"]
    changed = operator.post(f"{MARKET}/products/{row['id']}", {"model_class": "mid"})
    assert changed.json["model_class"] == "mid"
    assert operator.get(f"{MARKET}/products?model_class=small").json["data"] == []
    where = f"{MARKET}/offers/{base.id}"
    operator.send("PUT", where, {"model_class": "mid"})
    assert [row["base"] for row in operator.get(f"{MARKET}/offers").json["data"]] == [base.id]
    operator.send("PUT", where, {"model_class": ""})
    assert operator.get(f"{MARKET}/offers").json["data"] == []
    assert operator.send("PUT", where, {"model_class": "No!"}).status == 400
    assert operator.send("PUT", f"{MARKET}/offers/typo", {"model_class": "mid"}).status == 404


def test_a_campaign_is_drafted_from_the_books_and_rehearsed(operator: Caller) -> None:
    sold(cost=Decimal("0.35"))
    until = (dt.date.today() + dt.timedelta(days=60)).isoformat()  # noqa: DTZ011
    read(operator, csv_of(
        launched(model="dear", provider="Dear", input_after=2, output_after=2),
        launched(model="acme-1"),
        cut(kind=f"promotion until {until}", input_after="0.5", output_after="2"),
    ))  # fmt: skip
    drafted = operator.post(f"{CAMPAIGNS}/draft", {"base": "mini", "cash": 1000})
    assert drafted.status == 200, drafted.content
    spec = drafted.json["campaign"]
    own = spec["own"]
    assert own["cost_source"] == "books"
    assert own["price"] == pytest.approx(0.9)
    assert own["unit_cost"] == pytest.approx(0.35)
    assert own["long_run_cost"] == pytest.approx(0.5)
    (segment,) = spec["segments"]
    assert segment["customers"] == pytest.approx(1 / 0.1)
    assert segment["usage"] == pytest.approx(1.0)
    promoted = next(row for row in spec["rivals"] if row["name"] == "Acme acme-1")
    assert promoted["price"] == pytest.approx(0.875)
    assert promoted["regular_price"] == pytest.approx(1.75)
    assert promoted["promotion_ends"] == 2

    made = operator.post(CAMPAIGNS, {"campaign": spec | FEW})
    assert made.status == 201, made.content
    where = f"{CAMPAIGNS}/{made.json['id']}"
    assert operator.get(f"{where}/brief").error["code"] == "campaign_not_finished"
    start(make_worker(), queue="pipeline.cpu").join()
    assert operator.get(where).json["state"] == "succeeded"
    result = operator.get(f"{where}/result").json["result"]
    assert result["policies"][0]["policy"] == "hold"
    assert operator.get(f"{where}/brief").content.startswith(b"# ")
    assert "价格" in operator.get(f"{where}/brief?language=zh-hans").content.decode()
    assert operator.get(f"{where}/plots/cash").content.startswith(b"<?xml")
    assert operator.get(f"{where}/plots/cash?format=png").content.startswith(b"\x89PNG")
    assert operator.get(f"{where}/plots/art").status == 400


def test_a_rehearsed_policy_becomes_prices_that_another_person_approves(
    operator: Caller,
) -> None:
    sold(cost=Decimal("0.35"))
    read(operator, csv_of(launched(model="dear", input_after=2, output_after=2)))
    spec = operator.post(f"{CAMPAIGNS}/draft", {"base": "mini", "cash": 1000}).json["campaign"]
    policies = [{"name": "hold"}, {"name": "match", "parameters": {"premium": -0.6}}]
    made = operator.post(CAMPAIGNS, {"campaign": spec | FEW | {"policies": policies}})
    where = f"{CAMPAIGNS}/{made.json['id']}"
    assert operator.post(f"{where}/propose", {"base": "mini"}).status == 409
    start(make_worker(), queue="pipeline.cpu").join()
    result = operator.get(f"{where}/result").json["result"]
    row = next(one for one in result["policies"] if one["policy"] == "match")
    factor = sum(row["by_month"]["price"]["median"][:2]) / 2 / spec["own"]["price"]
    assert factor != pytest.approx(1.0)

    wish = {"base": "mini", "policy": "match", "months": 2, "volume_cap": "5000000"}
    proposed = operator.post(f"{where}/propose", wish)
    assert proposed.status == 201, proposed.content
    rows = {one["meter"]: one for one in proposed.json["data"]}
    for meter, listed in (("tokens.input", 0.60), ("tokens.output", 1.80), ("tokens.cached", 0.15)):
        charge = rows[meter]["charge"]
        assert float(charge["unit"]) == pytest.approx(listed * factor, abs=1e-6)
        assert (rows[meter]["match"], rows[meter]["state"]) == ({"base": "mini"}, "proposed")
        assert rows[meter]["volume_cap"] == "5000000"
    revenue = sum(float(one["foreseen"]["revenue"]) for one in rows.values())
    assert revenue == pytest.approx(row["revenue"]["usage"]["mean"] * 2 / 3, rel=1e-3)
    mine = operator.post(f"/operator/v1/price_proposals/{rows['tokens.input']['id']}/approve")
    assert mine.error["code"] == "same_person"
    listed_again = operator.get(f"/operator/v1/price_proposals?campaign={made.json['id']}")
    assert len(listed_again.json["data"]) == 3
    assert {one["policy"] for one in listed_again.json["data"]} == {"match"}
    (outcome,) = operator.get(f"{where}/outcome").json["policies"]
    assert (outcome["policy"], outcome["state"], outcome["first"]) == ("match", "proposed", None)
    for body, says in (
        ({"base": "mini", "policy": "bribe"}, "was not rehearsed"),
        ({"base": "mini", "policy": "match", "months": 9}, "has 3 months"),
        ({"base": "mini", "policy": "match", "loss_budget_id": "no"}, "no"),
    ):
        assert says in operator.post(f"{where}/propose", body).error["message"]


def test_what_happened_lies_beside_what_was_foreseen(operator: Caller) -> None:
    sold(cost=Decimal("0.35"))
    read(operator, csv_of(launched(model="dear", input_after=2, output_after=2)))
    spec = operator.post(f"{CAMPAIGNS}/draft", {"base": "mini", "cash": 1000}).json["campaign"]
    made = operator.post(CAMPAIGNS, {"campaign": spec | FEW})
    where = f"{CAMPAIGNS}/{made.json['id']}"
    assert operator.get(f"{where}/outcome").error["code"] == "campaign_not_finished"
    start(make_worker(), queue="pipeline.cpu").join()
    assert operator.get(f"{where}/outcome").json["policies"] == []
    assert operator.get(f"{where}/outcome/plot").status == 404
    operator.post(f"{where}/propose", {"base": "mini", "policy": "hold", "months": 2})
    with system_scope():
        for row in PriceProposal.objects.exclude(meter="tokens.cached"):
            price_proposal_approve(actor=another(), proposal_id=row.id)
    told = operator.get(f"{where}/outcome").json
    (outcome,) = told["policies"]
    assert (told["object"], told["currency"], outcome["state"]) == (
        "campaign.outcome", "USD", "under_way",
    )  # fmt: skip
    first, second = outcome["months"]
    foreseen = operator.get(f"{where}/result").json["result"]["policies"][0]["by_month"]
    assert first["state"] == "running"
    assert first["revenue"] == {
        "foreseen": {end: foreseen["revenue"][end][0] for end in ("low", "median", "high")},
        "actual": "0", "verdict": "", "unknown": "",
    }  # fmt: skip
    assert first["price"]["unknown"] == "nothing_sold"
    assert (second["state"], second["share"]["actual"]) == ("to_come", None)
    assert {one["actual"]["revenue"] for one in outcome["proposals"]} == {"0"}
    assert operator.get(f"{where}/outcome/plot").content.startswith(b"<?xml")
    assert operator.get(f"{where}/outcome/plot?format=png").content.startswith(b"\x89PNG")
    assert operator.get(f"{where}/outcome/plot?policy=bribe").status == 404
    with system_scope():
        PriceProposal.objects.filter(meter="tokens.cached").update(policy="")
    drawn = {operator.get(f"{where}/outcome/plot?policy={one}").content for one in ("hold", "")}
    assert len(drawn) == 2  # what was proposed by hand is not drawn as the first policy


def test_a_campaign_waiting_is_cancelled(operator: Caller) -> None:
    made = operator.post(CAMPAIGNS, {"campaign": campaign(**FEW)})
    ended = operator.post(f"{CAMPAIGNS}/{made.json['id']}/cancel")
    assert ended.json["state"] == "cancelled"
    (listed,) = operator.get(CAMPAIGNS).json["data"]
    assert listed["name"] == "rehearsal"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"base": "mini", "cash": 1000}, "competes in no class"),
        ({"base": "mini", "cash": 1000, "own_share": 1}, "between 0 and 1"),
        ({"base": "mini", "cash": 1000, "own_share": 0.5, "outside_share": 0.6}, "at most"),
    ],
)
def test_a_draft_without_its_facts_says_which(
    operator: Caller, body: dict[str, Any], says: str
) -> None:
    refused = operator.post(f"{CAMPAIGNS}/draft", body)
    assert refused.status in {400, 404}
    assert says in refused.error["message"]


def test_a_draft_of_what_was_never_served_names_the_cost(operator: Caller, base: BaseModel) -> None:
    operator.send("PUT", f"{MARKET}/offers/{base.id}", {"model_class": "small"})
    refused = operator.post(f"{CAMPAIGNS}/draft", {"base": base.id, "cash": 1000})
    assert (refused.status, refused.error["code"]) == (400, "no_cost")


def test_customers_see_neither_market_nor_campaigns(api: Caller) -> None:
    assert api.get(f"{MARKET}/trends").status == 403
    assert api.post(CAMPAIGNS, {"campaign": campaign()}).status == 403
