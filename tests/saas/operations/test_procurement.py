"""Procurement in operations: offers entered and read, a plan made, its page, its adoption."""

from __future__ import annotations

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tenants.costs.models import PurchaseOffer, PurchasePlan
from tenants.kernel.scope import system_scope
from tests.saas.console.factories import Person
from tests.saas.operations.test_market import data_of
from tests.tenants.costs.plans_made import books_make, offer_make
from tests.workers.jobs.factories import make_worker
from tests.workers.tasks.factories import start

pytestmark = pytest.mark.django_db
PAGE, OFFERS = "/operations/procurement/", "/operations/costs/purchaseoffer/"
ASKED = {
    "key": "key_1", "name": "Next year", "months": "12", "scenarios": "2", "utilisation": "70",
    "penalty": "10", "budget": "", "service": "0", "spot": "on", "suppliers": "",
}  # fmt: skip


def planned(operator: Person) -> str:
    """The page of a plan that a worker has worked out."""
    made = operator.client.post(f"{PAGE}new/", ASKED)
    assert made.status_code == 302, made.content.decode()[:3000]
    assert 'http-equiv="refresh"' in operator.get(made["location"]).content.decode()
    start(make_worker(), queue="pipeline.cpu").join()
    return str(made["location"])


def test_a_plan_is_made_read_exported_and_adopted(operator: Person) -> None:
    offer_make(books_make())
    where = planned(operator)
    page = operator.get(where).content.decode()
    chart = data_of(page, "plan-data")
    assert [one["label"] for one in chart["datasets"]] == [
        "a year", "Demand, foreseen", "Demand, 5%", "Demand, 95%",
    ]  # fmt: skip
    assert len(chart["datasets"][0]["data"]) == 12
    for said in ("What to buy", "All on demand", "The best single term", "Prices of offers +20%"):
        assert said in page
    assert operator.get(f"{where}csv/").content.startswith(b"month,offer,units,until,")
    assert operator.get(f"{where}json/").json()["result"]["purchases"]

    done = operator.client.post(f"{where}adopt/", {"replaces": ""}, follow=True).content.decode()
    assert "The plan is in force" in done
    assert f"{where}adopt/" not in done
    with system_scope():
        assert PurchasePlan.objects.get().in_force
    assert "In force" in operator.get(PAGE).content.decode()

    operator.post("/i18n/setlang/", language="zh-hans", next="/operations/")
    chinese = operator.get(where).content.decode()
    for said in ("购买内容", "最佳单一期限", "已承诺容量与需求区间", "报价的价格 +20%"):
        assert said in chinese


def test_a_page_that_is_behind_is_refused_in_words(operator: Person) -> None:
    offer_make(books_make())
    where = planned(operator)
    answer = operator.client.post(f"{where}adopt/", {"replaces": "plan_other"}, follow=True)
    assert "no plan is in force, not plan_other" in answer.content.decode()


def test_a_form_that_is_sent_twice_makes_one_plan(operator: Person) -> None:
    offer_make(books_make())
    first = operator.client.post(f"{PAGE}new/", ASKED)
    second = operator.client.post(f"{PAGE}new/", ASKED)
    assert first["location"] == second["location"]
    for export in ("csv/", "json/"):  # there is nothing yet
        assert operator.get(f"{first['location']}{export}").status_code == 404
    stopped = operator.client.post(first["location"], follow=True).content.decode()
    assert "The plan stops." in stopped


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "none of 0 offers can serve"),
        ({"suppliers": "Acme, mini, cheap"}, "ends in no number"),
        ({"suppliers": "only a name"}, "is no name, base model and price"),
        ({"suppliers": "Acme, mini, NaN"}, "at prices from 0 to"),
        ({"utilisation": "0"}, "utilisation is a share above 0"),
        ({"penalty": "1e400"}, "a penalty of 1 or more"),
    ],
)
def test_what_cannot_be_planned_is_said_above_the_form(
    operator: Person, changes: dict[str, str], says: str
) -> None:
    books_make()
    page = operator.client.post(f"{PAGE}new/", ASKED | changes).content.decode()
    assert says in page
    assert 'value="Next year"' in page


def test_offers_are_entered_read_and_withdrawn(operator: Person) -> None:
    resource = books_make()
    body = {
        "name": "a year", "resource": resource, "kind": "reserved", "months": "12",
        "capacity": "730", "upfront": "0", "monthly": "700", "currency": "USD", "available": "9",
        "kinds": "serve", "until": "",
    }  # fmt: skip
    refused = operator.client.post(f"{OFFERS}new/", body | {"months": "0"}).content.decode()
    assert "its term is 1 to 120 months, not 0" in refused
    assert operator.client.post(f"{OFFERS}new/", body).status_code == 302
    listed = operator.get(OFFERS).content.decode()
    assert re.search(r"8,400\.00.USD", listed)  # twelve times 700

    text = f"name,resource,months,capacity,upfront\ntwo years,{resource},24,730,12000\n"
    file = SimpleUploadedFile("offers.csv", text.encode())
    assert operator.client.post(f"{OFFERS}import/", {"file": file}).status_code == 302
    for content, says in (
        (b"caf\xe9", "no UTF-8"),
        (text.replace("two years", "two\0years").encode(), "60 printable characters"),
        (text.replace(resource, "worker.none").encode(), "no class of workers"),
    ):
        bad = SimpleUploadedFile("offers.csv", content)
        told = operator.client.post(f"{OFFERS}import/", {"file": bad}).content.decode()
        assert says in told
    with system_scope():
        row = PurchaseOffer.objects.get(name="two years")
    operator.post(f"{OFFERS}{row.pk}/do/withdraw/")
    with system_scope():
        assert PurchaseOffer.objects.get(pk=row.pk).withdrawn_at is not None


def test_the_empty_page_says_what_to_do(operator: Person) -> None:
    assert "Enter what can be bought" in operator.get(PAGE).content.decode()
    assert operator.get(f"{PAGE}plan_none/").status_code == 404
