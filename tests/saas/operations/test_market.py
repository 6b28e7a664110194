"""The market's and the campaign room's pages, as staff use them."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from saas.markdown import as_html
from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.scope import system_scope
from tenants.market.models import AlertDelivery, MarketAlert, MarketProduct
from tenants.pricing.models import PriceProposal
from tenants.pricing.services import price_proposal_approve
from tests.saas.console.factories import Person
from tests.tenants.market.market import csv_of, cut, launched, read, sold
from tests.tenants.partners.releases import enabled, published
from tests.tenants.pricing.floors_made import another
from tests.workers.jobs.factories import job_row, make_worker
from tests.workers.tasks.factories import start
from workers.jobs.models import Job
from workers.jobs.states import State

pytestmark = pytest.mark.django_db

PRICING = """
from plugins.sdk import CampaignPolicy, hookimpl

@hookimpl
def campaign_policies():
    return (CampaignPolicy("steady", "Steady"),)

@hookimpl
def campaign_prices(campaign):
    return campaign.own_prices
"""

SENT = {
    "base": "mini", "name": "Autumn", "cash": "1000", "cash_limit": "0", "own_share": "0.1",
    "outside_share": "0.2", "months": "3", "floor": "long_run", "seed": "1",
}  # fmt: skip


def data_of(content: str, name: str) -> dict[str, list[dict[str, list[float | None]]]]:
    found = re.search(rf'<script id="{name}" type="application/json">(.*?)</script>', content)
    assert found is not None
    charts: dict[str, list[dict[str, list[float | None]]]] = json.loads(found[1])
    return charts


def test_the_market_page_draws_index_and_place(operator: Person) -> None:
    sold(cost=Decimal("0.35"))
    read(launched(), cut(input_after="0.2", output_after="0.2", input_before=1, output_before=1))
    page = operator.get("/operations/market/").content.decode()
    bars = {str(one["label"]): one["data"] for one in data_of(page, "position-data")["datasets"]}
    assert bars["Our price"] == [0.9]
    assert bars["Cheapest rival"] == [0.2]
    index = data_of(page, "index-data")["datasets"][0]["data"]
    assert index[-1] == pytest.approx(20.0)
    assert "Below our floor" in page


def test_without_an_offer_the_shipped_market_is_shown_and_what_to_do_said(
    operator: Person,
) -> None:
    page = operator.get("/operations/market/").content.decode()
    assert "Say which class" in page
    assert "davinci (GPT-3)" not in page  # the shipped moves are read, not stored, so far
    assert len(data_of(page, "index-data")["datasets"]) > 3


def test_a_file_is_sent_and_what_is_wrong_with_it_said(operator: Person) -> None:
    def sent(text: str) -> str:
        file = SimpleUploadedFile("moves.csv", text.encode(errors="surrogateescape"))
        body = {"format": "moves_csv", "file": file, "unit": "", "providers": ""}
        return operator.client.post(
            "/operations/market/file/new/", body, follow=True
        ).content.decode()

    assert "the columns do not fit" in sent("a,b\n1,2\n")
    assert "no UTF-8" in sent("caf\udce9")
    assert "moves.csv" in sent(csv_of(launched()))
    with system_scope():
        assert MarketProduct.objects.filter(model="acme-1").exists()


def test_a_product_is_classed_and_an_alert_seen(operator: Person) -> None:
    sold()
    read(launched(), cut())
    with system_scope():
        product, alert = MarketProduct.objects.get(), MarketAlert.objects.get()
    where = "/operations/market"
    operator.client.post(f"{where}/marketproduct/{product.pk}/do/class/", {"model_class": "mid"})
    operator.client.post(f"{where}/marketalert/{alert.pk}/do/see/")
    with system_scope():
        product.refresh_from_db()
        alert.refresh_from_db()
    assert product.model_class == "mid"
    assert alert.seen_by


def test_an_alert_that_was_given_up_shows_why_and_is_sent_again(operator: Person) -> None:
    sold()
    read(launched(), cut())
    with system_scope():
        alert = MarketAlert.objects.get()
        AlertDelivery.objects.create(alert=alert, state="dead", last_error="it answered 500")
    where = f"/operations/market/marketalert/{alert.pk}"
    assert "it answered 500" in operator.get(f"{where}/change/").content.decode()
    operator.client.post(f"{where}/do/resend/")
    with system_scope():
        assert AlertDelivery.objects.get().state == "waiting"


def test_sliders_make_a_campaign_and_its_page_tells_how_it_went(operator: Person) -> None:
    sold(cost=Decimal("0.35"))
    read(launched())
    form = operator.get("/operations/campaigns/new/").content.decode()
    assert form.count('type="range"') == 17
    sliders = dict(re.findall(r'<input type="range" name="(\w+)" value="([\d.]+)"', form))
    turned = sliders | {"lever_pruning": "0.3", "prior_switching": "0.4"}
    made = operator.client.post("/operations/campaigns/new/", SENT | turned)
    assert made.status_code == 302, made.content.decode()[:2000]
    with system_scope():
        job = Job.objects.get(kind="campaign")
    spec = job.spec["campaign"]
    assert [lever["name"] for lever in spec["levers"]] == ["pruning"]
    assert spec["levers"][0]["unit_cost_saving"]["mode"] == pytest.approx(0.3)
    assert spec["assumptions"]["switching"]["mode"] == pytest.approx(0.4)
    assert spec["assumptions"]["reaction"]["high"] == pytest.approx(0.25)
    assert 'http-equiv="refresh"' in operator.get(made["location"]).content.decode()

    start(make_worker(), queue="pipeline.cpu").join()

    assert job_row(job.pk).state == State.SUCCEEDED
    page = operator.get(made["location"]).content.decode()
    assert "<table>" in page
    assert "no prices of this campaign were proposed" in page
    assert operator.get(f"{made['location']}outcome/").status_code == 404
    assert len(data_of(page, "campaign-data")["datasets"]) == 8
    assert operator.get(f"{made['location']}plots/tornado/")["content-type"] == "image/svg+xml"
    assert "Autumn" in operator.get("/operations/campaigns/").content.decode()

    sent = {"base": "mini", "policy": "hold", "months": "2", "loss_budget_id": ""}
    done = operator.client.post(f"{made['location']}prices/", sent)
    assert done.status_code == 302, done.content.decode()[:3000]
    with system_scope():
        proposals = PriceProposal.objects.filter(campaign_id=job.pk)
        assert {row.meter for row in proposals} == {
            "tokens.input", "tokens.output", "tokens.cached"
        }  # fmt: skip
    page = operator.get(made["location"]).content.decode()
    assert "nobody has approved these prices" in page
    assert operator.get(f"{made['location']}outcome/")["content-type"] == "image/svg+xml"
    with system_scope():
        for row in PriceProposal.objects.exclude(meter="tokens.cached"):
            price_proposal_approve(actor=another(), proposal_id=row.id)
    page = operator.get(made["location"]).content.decode()
    assert "not known yet" in page
    assert "Under way" in page
    operator.client.cookies["django_language"] = "zh-hans"
    assert "尚不可知" in operator.get(made["location"]).content.decode()


def test_a_plugins_policy_is_chosen_where_the_platform_enabled_it(
    operator: Person, own_folders: None, tmp_path: Path
) -> None:
    sold()
    read(launched())
    name = "plugin.pricing.steady"
    assert 'name="partners"' not in operator.get("/operations/campaigns/new/").content.decode()
    published(tmp_path, name="pricing", code=PRICING)
    enabled(platform_tenant_ensure().id, "pricing")
    form = operator.get("/operations/campaigns/new/").content.decode()
    assert f'value="{name}"' in form
    sliders = dict(re.findall(r'<input type="range" name="(\w+)" value="([\d.]+)"', form))
    made = operator.client.post("/operations/campaigns/new/", SENT | sliders | {"partners": name})
    assert made.status_code == 302, made.content.decode()[:2000]
    with system_scope():
        job = Job.objects.get(kind="campaign")
    assert [one["name"] for one in job.spec["campaign"]["policies"]] == [name]
    assert [one["plugin"] for one in job.spec["plugins"]] == ["pricing"]


def test_a_rehearsal_is_stopped_from_its_page(operator: Person) -> None:
    sold()
    read(launched())
    form = operator.get("/operations/campaigns/new/").content.decode()
    sliders = dict(re.findall(r'<input type="range" name="(\w+)" value="([\d.]+)"', form))
    made = operator.client.post("/operations/campaigns/new/", SENT | sliders)
    assert operator.client.get(f"{made['location']}prices/").status_code == 302
    assert operator.get(f"{made['location']}plots/cash/").status_code == 404
    operator.client.post(made["location"])
    with system_scope():
        assert Job.objects.get(kind="campaign").state == State.CANCELLED


def test_markup_in_a_brief_is_shown_and_not_obeyed() -> None:
    assert "<script>" not in as_html("# <script>alert(1)</script>")
