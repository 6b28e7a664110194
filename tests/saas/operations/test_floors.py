"""Floors at operations: the page, the policy, loss budgets, dated prices, calibration."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tenants.pricing.defaults import LIST_BOOK
from tenants.pricing.models import FloorFinding, FloorPolicy, LossBudget, PriceProposal
from tenants.pricing.services import floors_sweep
from tests.saas.console.factories import Person, job_make, operator_make
from tests.saas.money import cost_measured
from tests.tenants.pricing.floors_made import WHY
from workers.jobs.states import State

pytestmark = pytest.mark.django_db

LATER = f"{now() + dt.timedelta(days=9):%Y-%m-%dT%H:%M}"


@pytest.fixture(autouse=True)
def measured(owner: Person) -> None:
    """A dime for a million trained tokens, which are sold at four dollars."""
    cost_measured(owner.tenant, job_make(owner).pk)


def propose(operator: Person, unit: str, budget: str = "") -> PriceProposal:
    operator.post(
        "/operations/pricing/priceproposal/new/",
        book_id=LIST_BOOK,
        meter="tokens.trained",
        unit=unit,
        ends=LATER,
        loss_budget_id=budget,
        note=WHY,
    )
    with system_scope():
        return PriceProposal.objects.select_related("book").order_by("-id")[0]


def test_the_page_lays_prices_beside_their_floors(operator: Person) -> None:
    answer = operator.get("/operations/floors/")
    chart = answer.context["chart"]
    assert [each["data"] for each in chart["datasets"]] == [[4.0], [0.142857143], [0.1]]
    assert "tokens.trained" in answer.content.decode()


def test_the_policy_is_set_in_percent_and_moves_the_floors(operator: Person) -> None:
    given = operator.get("/operations/floors/policy/").context["form"].initial
    assert (given["planned_utilisation"], given["margin"]) == ("70", "0")
    changed = {**given, "planned_utilisation": "2", "margin": "20", "reason": WHY}
    assert operator.post("/operations/floors/policy/", **changed).status_code == 302
    with system_scope():
        held = FloorPolicy.objects.get()
    assert (held.planned_utilisation, held.margin) == (Decimal("0.02"), Decimal("0.2"))
    floors_sweep()
    assert "6.25" in operator.get("/operations/floors/").content.decode()
    with system_scope():
        found = FloorFinding.objects.get()
    page = operator.get(f"/operations/pricing/floorfinding/{found.pk}/change/")
    assert "6.25" in page.content.decode()
    wrong = operator.post("/operations/floors/policy/", **{**changed, "margin": "100"})
    assert "share of the price" in wrong.content.decode()


def test_a_dated_price_is_proposed_by_one_and_approved_by_another(operator: Person) -> None:
    operator.post("/operations/pricing/lossbudget/new/", amount="5", expires_at=LATER, reason=WHY)
    with system_scope():
        budget = LossBudget.objects.get()
    proposal = propose(operator, "0.12", budget.pk)
    where = f"/operations/pricing/priceproposal/{proposal.pk}/"
    own = operator.post(f"{where}do/approve/")
    assert own.status_code == 403
    other = operator_make()
    other.post(f"{where}do/approve/")
    page = operator.get(f"{where}change/").content.decode()
    with system_scope():
        proposal.refresh_from_db()
    assert (proposal.state, "In force" in page) == ("active", True)
    assert budget.pk in operator.get("/operations/floors/").content.decode()
    operator.post(f"/operations/pricing/lossbudget/{budget.pk}/do/close/")
    operator.post(f"{where}do/end/", reason="the rival gave in")
    with system_scope():
        proposal.refresh_from_db()
        budget.refresh_from_db()
    assert (proposal.state, budget.ended_why) == ("ended", "closed")


def test_a_price_below_its_floor_is_refused_on_the_page(operator: Person) -> None:
    proposal = propose(operator, "0.12")
    other = operator_make()
    where = f"/operations/pricing/priceproposal/{proposal.pk}/"
    answer = other.client.post(f"{where}do/approve/", follow=True)
    assert "below the floor of 0.142857143" in answer.content.decode()
    other.post(f"{where}do/refuse/", reason="not worth it now")
    with system_scope():
        proposal.refresh_from_db()
    assert proposal.state == "refused"


def test_the_calibration_page_shows_how_many_stayed_within(owner: Person, operator: Person) -> None:
    assert operator.get("/operations/calibration/").status_code == 200
    job_make(owner, state=State.SUCCEEDED, finished_at=now())
    assert operator.get("/operations/calibration/?days=7").context["rows"].rows == []
