"""Our offers beside the rivals of their class, and the alerts on their moves."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import system_scope
from tenants.market.models import MarketAlert
from tenants.market.position import Position, positions
from tenants.market.services import alert_see
from tenants.pricing.floors import FloorTerms, Takes
from tenants.pricing.services import fx_rate_set
from tenants.pricing.services.floors import floor_policy_set
from tests.tenants.market.market import cut, launched, operator, read, sold

pytestmark = pytest.mark.django_db

LISTED = Decimal("0.75") * Decimal("0.60") + Decimal("0.25") * Decimal("1.80")  # the list's first


def position() -> Position:
    with system_scope():
        (found,) = positions()
    return found


def test_an_offer_stands_among_the_rivals_of_its_class() -> None:
    sold(cost=Decimal("0.35"))
    read(
        launched(model="dear", input_after=2, output_after=2),
        launched(model="cheap", input_after="0.8", output_after="0.8"),
        launched(model="free", kind="free", input_after=0, output_after=0, provider="Gratis"),
        launched(model="elsewhere", model_class="frontier"),
    )
    found = position()
    assert found.own.price == LISTED
    assert found.own.floor == Decimal("0.35") / Decimal("0.7")
    assert [one.product.model for one in found.rivals] == ["free", "cheap", "dear"]
    assert (found.cheapest, found.median, found.rank) == (Decimal("0.8"), Decimal("1.4"), 2)
    assert found.gap == LISTED / Decimal("0.8") - 1


def test_the_floor_is_the_one_that_the_guard_holds_prices_to() -> None:
    sold(cost=Decimal("0.35"))
    with system_scope():
        terms = FloorTerms(takes=Takes(margin=Decimal("0.5")))
        floor_policy_set(actor=operator(), terms=terms, reason="a margin of a half")
    assert position().own.floor == Decimal(1)


def test_what_its_maker_replaced_long_ago_competes_no_more() -> None:
    sold()
    read(
        launched(model="old", date="2020-01-01"),
        launched(model="new", date="2021-01-01"),
        launched(provider="Other", model="other", model_class="frontier"),
    )
    assert [one.product.model for one in position().rivals] == ["new"]


def test_a_currency_without_a_rate_is_said_and_compared_once_it_has_one() -> None:
    sold()
    read(launched(currency="CNY", input_after=7, output_after=7))
    (rival,) = position().rivals
    assert rival.price is None
    assert "no exchange rate" in rival.missing
    with system_scope():
        fx_rate_set(actor=operator(), base="USD", quote="CNY", rate=Decimal(7))
    assert position().rivals[0].price == Decimal(1)


@pytest.mark.parametrize(
    ("cost", "after", "level"),
    [
        ("0.35", "0.8", "below_price"),
        ("0.35", "0.2", "below_floor"),
        ("0.35", "0.95", "moved"),
    ],
)
def test_a_recent_move_is_told_by_how_near_it_comes(cost: str, after: str, level: str) -> None:
    sold(cost=Decimal(cost))
    read(launched(), cut(input_after=after, output_after=after, input_before=1, output_before=1))
    with system_scope():
        (alert,) = MarketAlert.objects.all()
        (event,) = OutboxEvent.objects.filter(name="market.rival_moved")
    assert (alert.level, alert.theirs, alert.ours) == (level, Decimal(after), LISTED)
    assert (event.payload["level"], event.payload["base"]) == (level, "mini")


def test_history_that_is_read_late_alarms_nobody() -> None:
    sold()
    read(launched())
    with system_scope():
        assert not MarketAlert.objects.exists()


def test_who_saw_an_alert_first_stays() -> None:
    sold()
    read(launched(), cut())
    with system_scope():
        alert = MarketAlert.objects.get()
        first = alert_see(actor=operator(), alert_id=alert.id)
        again = alert_see(actor=operator(), alert_id=alert.id)
    assert first.seen_at is not None
    assert again.seen_at == first.seen_at
