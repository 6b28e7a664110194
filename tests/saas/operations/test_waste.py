"""The waste page: evidence, money a month, the buttons, and what the levers gained."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.costs.levers import Gain, levers_record
from tenants.costs.models import WasteFinding
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tests.saas.console.factories import Person
from tests.workers.waste.factories import deployment_forgotten, price_gpu
from workers.serving.models import Deployment
from workers.waste.services import waste_sweep

pytestmark = pytest.mark.django_db
PAGE = "/operations/costs/wastefinding/"


@pytest.fixture
def finding() -> WasteFinding:
    price_gpu(on_demand="0.0007")
    deployment_forgotten()
    waste_sweep()
    with system_scope():
        return WasteFinding.objects.get()


def test_the_list_tells_what_all_of_it_saves_together(
    operator: Person, finding: WasteFinding
) -> None:
    page = operator.get(PAGE).content.decode()
    assert "Kept awake for nobody" in page
    assert f"All together: {finding.beside:.2f} USD a month." in page


def test_the_buttons_stop_it_and_take_it_back(operator: Person, finding: WasteFinding) -> None:
    where = f"{PAGE}{finding.pk}/"
    page = operator.get(f"{where}change/").content.decode()
    assert "Hours since the last call" in page
    assert 'data-act="apply"' in page
    assert 'data-act="undo"' not in page

    operator.post(f"{where}do/apply/")
    page = operator.get(f"{where}change/").content.decode()
    assert 'data-act="apply"' not in page
    operator.post(f"{where}do/undo/")
    with system_scope():
        assert WasteFinding.objects.get(pk=finding.pk).state == "undone"


def test_a_stale_finding_is_refused_in_words(operator: Person, finding: WasteFinding) -> None:
    with system_scope():
        Deployment.objects.update(sleep_after_s=77)
    answer = operator.client.post(f"{PAGE}{finding.pk}/do/apply/", follow=True)
    assert "has changed since it was looked at" in answer.content.decode()


def test_it_is_told_in_chinese_too(operator: Person, finding: WasteFinding) -> None:
    operator.post("/i18n/setlang/", language="zh-hans", next="/operations/")
    page = operator.get(f"{PAGE}{finding.pk}/change/").content.decode()
    assert "让其更早休眠" in page
    assert "距上次调用的小时数" in page


def test_levers_stand_on_the_costs_page(operator: Person) -> None:
    until = now()
    gain = Gain("cohort", 0.25, 0.2, 0.3, Decimal("1.5"), 12, {})
    with system_scope():
        levers_record(since=until - dt.timedelta(days=28), until=until, gains=[gain])
    page = operator.get("/operations/costs/").content.decode()
    assert "Shared passes" in page
    assert "20.0% – 30.0%" in page
    assert "1.5000 USD" in page
