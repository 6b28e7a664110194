"""A rehearsed policy as proposals: what is foreseen is in the currency of costs, or refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tenants.kernel.clock import now
from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import system_scope
from tenants.market.proposing import Wish, proposals_of
from tenants.pricing.services import fx_rate_set, price_proposal_make
from tests.tenants.market.market import sold
from tests.tenants.pricing.books import operator_make

pytestmark = pytest.mark.django_db


def result(currency: str) -> dict[str, Any]:
    return {
        "months": 2,
        "currency": currency,
        "spec": {"name": "war", "own": {"price": 1.0, "long_run_cost": 0.5}},
        "policies": [{
            "policy": "hold",
            "by_month": {"price": {"median": [1.0, 1.0]}},
            "revenue": {"usage": {"mean": 100.0}},
        }],
    }  # fmt: skip


def foreseen(currency: str) -> Decimal:
    with system_scope():
        made = proposals_of(result(currency), "job_1", Wish("mini", "hold", months=2))
    return sum((one.foreseen["revenue"] for one in made), Decimal(0))


def test_a_campaign_in_another_currency_is_proposed_at_its_rate() -> None:
    sold()
    assert float(foreseen("USD")) == pytest.approx(100)
    with pytest.raises(InvalidInput) as refused:
        foreseen("EUR")
    assert refused.value.code == "fx_missing"
    with system_scope():
        fx_rate_set(actor=operator_make(), base="EUR", quote="USD", rate=Decimal(2))
    assert float(foreseen("EUR")) == pytest.approx(200)


def test_a_cap_and_an_end_are_those_of_the_wish() -> None:
    sold()
    wish = Wish("mini", "hold", months=1, volume_cap=Decimal(7), loss_budget_id="lbud_1")
    with system_scope():
        made = proposals_of(result("USD"), "job_1", wish)
    assert {(one.volume_cap, one.loss_budget_id, one.policy) for one in made} == {
        (Decimal(7), "lbud_1", "hold")
    }
    assert all(29 < (one.ends - now()).days + 1 <= 30 for one in made)


def test_more_than_can_be_foreseen_is_refused_when_it_is_written_down() -> None:
    sold()
    found = result("USD")
    found["policies"][0]["revenue"]["usage"]["mean"] = 1e25
    with system_scope():
        first, *_ = proposals_of(found, "job_1", Wish("mini", "hold", months=2))
        with pytest.raises(InvalidInput, match="what is foreseen"):
            price_proposal_make(actor=operator_make(), proposal=first)
