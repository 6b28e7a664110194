"""A campaign from the books: who buys, what was measured, what is refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.costs.models import LeverMeasurement
from tenants.kernel.clock import now
from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import system_scope
from tenants.market.campaigns.specs import CampaignSpec
from tenants.market.drafting import Stated, campaign_draft
from tests.tenants.market.market import launched, read, sold
from tests.tenants.pricing.books import count, tenant_make

pytestmark = pytest.mark.django_db


def drafted(**stated: float) -> CampaignSpec:
    with system_scope():
        return CampaignSpec.read(campaign_draft("mini", Stated(cash=1000.0, **stated)))


def test_the_fewest_customers_who_use_most_are_a_segment_of_their_own() -> None:
    sold(cost=Decimal("0.35"))
    yesterday = now() - dt.timedelta(days=1)
    for tokens in (9_000_000, 1_000_000, 500_000):
        tenant = tenant_make(f"Buyer of {tokens}")
        count(tenant, "tokens.output", tokens, at=yesterday, source="gateway", model="mini",
              base="mini")  # fmt: skip
    large, small = drafted(own_share=0.5).segments
    assert (large.name, large.customers, large.usage) == ("large", 1 / 0.5 * 2, 5.0)
    assert (small.name, small.customers) == ("small", 2 / 0.5)
    assert small.usage == pytest.approx(0.75)


def test_rivals_share_what_we_and_nobody_leave() -> None:
    sold(cost=Decimal("0.35"))
    read(launched(model="one"), launched(model="two", provider="Other"))
    (segment,) = drafted(own_share=0.2, outside_share=0.4).segments
    assert segment.shares == pytest.approx({"Acme one": 0.2, "Other two": 0.2})


def test_what_was_measured_is_at_hand_and_off() -> None:
    sold(cost=Decimal("0.35"))
    with system_scope():
        for lever, point in (("compression", 0.3), ("utilisation", -0.2)):
            LeverMeasurement.objects.create(
                lever=lever, since=now() - dt.timedelta(days=28), until=now(), point=point,
                low=point - 0.1, high=point + 0.1, saved=Decimal(1), sample=5,
            )  # fmt: skip
    (lever,) = drafted().levers
    assert (lever.name, lever.on, lever.source) == ("pruning", False, "measured")
    assert lever.unit_cost_saving.low == pytest.approx(0.2)


def test_cash_beneath_its_limit_is_refused() -> None:
    sold(cost=Decimal("0.35"))
    with pytest.raises(InvalidInput, match="ruined"):
        drafted(cash_limit=2000.0)
