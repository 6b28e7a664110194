"""After a campaign: what was sold under its prices, month by month, beside what it foresaw."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tenants.market.following import Followed, Month, campaign_followed
from tenants.market.reporting.plots import outcome_plot
from tenants.pricing.models import PriceProposal, SaleDay
from tenants.pricing.services import fx_rate_set, losses_record
from tests.tenants.pricing.books import (
    charge,
    item,
    operator_make,
    platform_make,
    prices_with,
    publish,
    tenant_make,
)  # fmt: skip
from tests.tenants.pricing.floors_made import (
    DAY,
    again,
    approve,
    cost_measure,
    per_million,
    proposed,
)

pytestmark = pytest.mark.django_db
NAMES = ("revenue", "tokens", "loss", "price", "share")


def result(currency: str = "USD", **by_month: Any) -> dict[str, Any]:
    """A rehearsal of three months; each figure lies between 1 and 3 where nothing else is said."""
    band = {"low": [1.0] * 3, "median": [2.0] * 3, "high": [3.0] * 3}
    return {
        "months": 3,
        "currency": currency,
        "spec": {"currency": currency, "segments": [{"customers": 30.0}, {"customers": 10.0}]},
        "policies": [{"policy": "match", "by_month": dict.fromkeys(NAMES, band) | by_month}],
    }


def price(**of: Any) -> PriceProposal:
    given = {"meter": "tokens.output", "match": {"base": "mini"}, "campaign_id": "job_1",
             "policy": "match", "lasts": 75 * DAY} | of  # fmt: skip
    return proposed("4", **given)


def began(row: PriceProposal, days_ago: int, **fields: Any) -> None:
    """As if its first day had been so long ago."""
    with system_scope():
        PriceProposal.objects.filter(pk=row.pk).update(starts=now() - days_ago * DAY, **fields)
    again(row)


def sold(row: PriceProposal, days_ago: int, tokens: int, net: str, tenant: str = "ten_a") -> None:
    with system_scope():
        SaleDay.objects.create(
            subject_id=row.id, day=(now() - days_ago * DAY).date(), tenant_id=tenant,
            price_key=row.price_key, quantity=tokens, net=Decimal(net), floor=Decimal(5),
            loss=Decimal(tokens) / 10**6 * 5 - Decimal(net),
        )  # fmt: skip


def followed(found: dict[str, Any] | None = None) -> Followed:
    with system_scope():
        (one,) = campaign_followed("job_1", found or result())
    return one


def told(month: Month) -> dict[str, tuple[Any, str, str]]:
    return {name: (f.actual, f.verdict, f.unknown) for name, f in month.figures.items()}


@pytest.fixture
def listed() -> None:
    platform_make()
    publish(prices_with(tokens_output=per_million("6")))
    cost_measure("3", kind="serve")


@pytest.mark.usefixtures("listed")
def test_what_nobody_has_approved_is_not_known_yet() -> None:
    price()
    one = followed()
    assert (one.state, one.first, one.months) == ("proposed", None, ())
    with system_scope():
        assert campaign_followed("job_2", result()) == []


@pytest.mark.usefixtures("listed")
def test_a_month_that_is_over_is_judged_and_one_that_runs_is_told_so_far() -> None:
    row = approve(price())
    tenant = tenant_make(credit="100")
    charge(tenant, "a", item("tokens.output", 500_000, at=now()))
    began(row, 40, ends=now() + 35 * DAY)
    sold(row, 39, 300_000, "1.2")
    sold(row, 11, 200_000, "0.8", tenant="ten_b")
    with system_scope():
        losses_record()
    one = followed()
    assert one.state == "under_way"
    assert [month.state for month in one.months] == ["over", "running", "to_come"]
    assert told(one.months[0]) == {
        "revenue": (2, "within", ""),
        "tokens": (Decimal("0.5"), "below", ""),
        "loss": (Decimal("0.5"), "below", ""),
        "price": (4, "above", ""),
        "share": (Decimal("0.05"), "below", ""),
    }
    running = told(one.months[1])
    assert running["revenue"] == (2, "", "")
    assert running["price"] == (4, "", "")
    assert set(told(one.months[2]).values()) == {(None, "", "to_come")}
    assert one.months[0].figures["revenue"].foreseen == {"low": 1.0, "median": 2.0, "high": 3.0}
    ((_, actual),) = one.proposals
    assert actual.quantity == 1_000_000


@pytest.mark.usefixtures("listed")
def test_what_is_unknown_says_why() -> None:
    row = approve(price())
    began(row, 40, ends=now() + 35 * DAY)
    assert told(followed().months[0])["price"] == (None, "", "nothing_sold")
    sold(row, 39, 1_000_000, "4")
    assert told(followed(result("EUR")).months[0])["revenue"] == (None, "", "no_rate")
    assert told(followed(result("EUR")).months[0])["tokens"] == (1, "within", "")
    bare = result()
    bare["policies"][0]["by_month"] = {}
    assert told(followed(bare).months[0])["revenue"] == (4, "", "not_foreseen")


@pytest.mark.usefixtures("listed")
def test_money_is_told_in_the_campaigns_currency() -> None:
    row = approve(price())
    began(row, 40, ends=now() + 35 * DAY)
    sold(row, 39, 1_000_000, "4")
    with system_scope():
        fx_rate_set(
            actor=operator_make(), base="EUR", quote="USD", rate=Decimal(2),
        )  # fmt: skip
    month = told(followed(result("EUR")).months[0])
    assert (month["revenue"], month["price"]) == ((2, "within", ""), (2, "within", ""))


@pytest.mark.usefixtures("listed")
def test_what_does_not_come_out_even_is_rounded_to_six_digits() -> None:
    row = approve(price())
    began(row, 40, ends=now() + 35 * DAY)
    sold(row, 39, 333_333, "0.7777777")
    huge = {end: [1e22] * 3 for end in ("low", "median", "high")}
    found = result(loss=huge)
    found["spec"]["segments"] = [{"customers": 7.0}]
    month = told(followed(found).months[0])
    assert (month["revenue"], month["tokens"]) == (
        (Decimal("0.777778"), "below", ""), (Decimal("0.333333"), "below", ""),
    )  # fmt: skip
    assert month["price"] == (Decimal("2.333335"), "within", "")
    assert month["share"] == (Decimal("0.142857"), "below", "")
    assert month["loss"] == (Decimal("0.888887"), "below", "")


@pytest.mark.usefixtures("listed")
def test_prices_that_ended_early_leave_their_months_unjudged() -> None:
    row = approve(price())
    began(row, 70, state="ended", ends=now() + 5 * DAY, ended_at=now() - 30 * DAY,
          ended_why="volume cap")  # fmt: skip
    sold(row, 39, 1_000_000, "4")
    one = followed()
    assert one.state == "ended"
    assert [month.state for month in one.months] == ["over", "cut", "ended"]
    assert told(one.months[1])["revenue"] == (4, "", "")
    assert told(one.months[2])["revenue"] == (None, "", "ended")


@pytest.mark.usefixtures("listed")
def test_prices_that_wait_for_their_start_and_two_policies_are_told_apart() -> None:
    approve(price(starts=now() + 5 * DAY))
    price(policy="hold", meter="tokens.input")
    with system_scope():
        waiting, idle = campaign_followed("job_1", result())
    assert (waiting.policy, waiting.state) == ("match", "waiting")
    assert waiting.months[0].state == "to_come"
    assert (idle.policy, idle.state) == ("hold", "proposed")


@pytest.mark.usefixtures("listed")
def test_it_is_drawn_the_same_each_time() -> None:
    row = approve(price())
    began(row, 40, ends=now() + 35 * DAY)
    sold(row, 39, 1_000_000, "4")
    one = followed()
    assert outcome_plot(one, "USD", "png").startswith(b"\x89PNG")
    drawn = outcome_plot(one, "USD", "svg")
    assert drawn == outcome_plot(one, "USD", "svg")
    assert b"share of customers" in drawn
