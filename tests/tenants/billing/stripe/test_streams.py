"""Usage that Stripe prices: reported by the hour, exactly, once, and before it is too late."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import F

from tenants.accounts.standing import tenant_close
from tenants.billing.stripe.models import StripeCall, StripeFinding, StripeStream
from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tenants.billing.stripe.reporting import streams_report
from tenants.billing.stripe.services.metering import stream_end, stream_start
from tenants.kernel.errors import Conflict
from tenants.kernel.scope import system_scope
from tenants.pricing.services.contracts import contract_end
from tests.stripe_server.faults import What
from tests.tenants.accounts.factories import SignedUp
from tests.tenants.billing.factories import book, contract, counted, operator_of
from tests.tenants.billing.stripe.ending import books
from tests.tenants.billing.stripe.world import World, card_saved

pytestmark = pytest.mark.django_db
D = Decimal
METER = "tokens.input"
NOW = dt.datetime.now(dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def stream(world: World, tenant: SignedUp) -> StripeStream:
    """A customer whose input tokens are priced in Stripe, since two months."""
    card_saved(world, tenant)
    contract(tenant.tenant.id, book_id=book({"model": "standard", "unit": "0"}))
    meter = world.api.v1.billing.meters.create(
        {
            "display_name": "Tokens",
            "event_name": "tokens",
            "default_aggregation": {"formula": "sum"},
        }
    )
    product = world.api.v1.products.create({"name": "Tokens"})
    price = world.api.v1.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 500,
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
        }
    )
    with system_scope():
        made = stream_start(
            actor=operator_of(tenant.tenant.id), meter=METER, event_name="tokens", price_id=price.id
        )
        StripeStream.objects.filter(pk=made.pk).update(since=made.since - dt.timedelta(days=60))
    world.settle()
    return made


def use(stream: StripeStream, quantity: str, at: dt.datetime) -> None:
    counted(stream.tenant_id, f"{at:%d %H %M} {quantity}", quantity, at)


def report(world: World, until: dt.datetime = NOW + 2 * HOUR) -> None:
    streams_report(until=until)
    world.settle()


def reported(world: World) -> Decimal:
    """What Stripe's meter has counted for its one customer."""
    (meter,) = world.api.v1.billing.meters.list().data
    (customer,) = world.api.v1.customers.list().data
    now = int(NOW.timestamp())
    window = {"start_time": now - 90 * 86_400, "end_time": now + 86_400}
    (summary,) = world.api.v1.billing.meters.event_summaries.list(
        meter.id, {"customer": customer.id, **window}
    ).data
    return D(str(summary.aggregated_value))


def sent(world: World) -> list[str]:
    return [
        row["body"] for row in world.control.requests() if row["path"].endswith("/meter_events")
    ]


def findings() -> dict[str, Any]:
    with system_scope():
        rows = StripeFinding.objects.filter(state="open")
        return {row.kind: row.evidence for row in rows}


def test_an_hours_usage_is_reported_once(world: World, stream: StripeStream) -> None:
    use(stream, "1000", NOW - 3 * HOUR)
    use(stream, "500", NOW - 3 * HOUR + dt.timedelta(minutes=1))
    report(world)
    report(world)
    assert (reported(world), len(sent(world))) == (D(1500), 1)


def test_late_usage_is_one_more_event_of_its_hour(world: World, stream: StripeStream) -> None:
    use(stream, "1000", NOW - 5 * HOUR)
    report(world)
    use(stream, "7", NOW - 5 * HOUR)
    report(world)
    assert (reported(world), len(sent(world))) == (D(1007), 2)


def test_the_running_hour_waits_until_it_is_over(world: World, stream: StripeStream) -> None:
    use(stream, "1000", NOW)
    report(world, until=NOW)
    assert sent(world) == []


def test_sixteen_digits_are_reported_in_parts(world: World, stream: StripeStream) -> None:
    use(stream, "1234567890123456", NOW - 3 * HOUR)
    report(world)
    bodies = sent(world)
    assert ["1234567890123450" in bodies[0], "value]=6" in bodies[1].replace("%5D", "]")] == [
        True,
        True,
    ]
    assert findings() == {}


def test_usage_of_36_days_ago_is_a_finding(world: World, stream: StripeStream) -> None:
    use(stream, "1000", NOW - dt.timedelta(days=36))
    use(stream, "20", NOW - dt.timedelta(days=33))
    report(world)
    assert reported(world) == 20
    assert D(findings()["meter_too_late"]["counted"]) == 1000


def test_an_event_whose_answer_was_lost_is_counted_once(world: World, stream: StripeStream) -> None:
    use(stream, "1000", NOW - 3 * HOUR)
    world.control.fault(What.LOSE, "meter_events", times=2)
    report(world)
    assert reported(world) == 1000


def test_after_25_hours_the_same_identifier_would_count_twice_so_it_is_not_sent(
    world: World, stream: StripeStream
) -> None:
    """Stripe remembers identifiers and keys for a day: what is unheard that long is a finding."""

    def a_day_passes() -> None:
        world.control.advance(days=1.1)
        with system_scope():
            waiting = StripeCall.objects.filter(state="sent")
            waiting.update(sent_at=F("sent_at") - dt.timedelta(hours=26))

    use(stream, "1000", NOW - 3 * HOUR)
    world.meanwhile = a_day_passes
    world.control.fault(What.LOSE, "meter_events", times=2)
    report(world)
    assert reported(world) == 1000
    assert "outcome_lost" in findings()["call_refused"]["error"]


def test_the_last_days_usage_is_reported_before_the_subscription_ends(
    world: World, stream: StripeStream
) -> None:
    use(stream, "1000", NOW)
    with system_scope():
        stream_end(actor=operator_of(stream.tenant_id), stream_id=stream.id)
    world.settle()
    paths = [row["path"] for row in world.control.requests() if row["method"] != "GET"]
    assert paths.index("/v1/billing/meter_events") < next(
        n for n, path in enumerate(paths) if path.startswith("/v1/subscriptions/")
    )
    assert reported(world) == 1000


@pytest.mark.parametrize("over", ["contract", "tenant"])
def test_a_stream_ends_with_what_it_is_under(world: World, stream: StripeStream, over: str) -> None:
    """The meter has a price here again, or nobody is left: all that was counted is told first."""
    use(stream, "1000", NOW)
    actor = operator_of(stream.tenant_id)
    with system_scope():
        if over == "contract":
            contract_end(actor=actor, tenant_id=stream.tenant_id)
        else:
            tenant_close(actor=actor, reason="left")
    world.settle()
    with system_scope():
        assert StripeStream.objects.get(pk=stream.pk).ended_at is not None
    assert reported(world) == 1000
    assert world.api.v1.subscriptions.list({"status": "all"}).data[0].status == "canceled"


def test_what_is_priced_here_cannot_be_priced_in_stripe_too(world: World, tenant: SignedUp) -> None:
    card_saved(world, tenant)
    contract(tenant.tenant.id, book_id=book({"model": "standard", "unit": "0.01"}))
    with system_scope(), pytest.raises(Conflict) as refused:
        stream_start(
            actor=operator_of(tenant.tenant.id), meter=METER, event_name="t", price_id="price_1"
        )
    assert refused.value.code == "priced_twice"


def test_what_stripe_collects_for_it_is_revenue_beside_every_wallet(
    world: World, stream: StripeStream
) -> None:
    """Three units at 5.00, billed as the stream ends: used since the subscription began."""
    use(stream, "3", dt.datetime.now(dt.UTC))
    with system_scope():
        stream_end(actor=operator_of(stream.tenant_id), stream_id=stream.id)
    world.control.advance(seconds=5)
    world.settle()
    found = books()
    assert found["revenue services USD"] == -15
    assert not any(name.startswith(("grant", "receivable", "cash")) for name in found)
    assert stripe_reconcile().differences == ()


@pytest.mark.parametrize("is_won", [False, True])
def test_a_dispute_of_what_stripe_collects_itself_ends_in_our_books(
    world: World, stream: StripeStream, is_won: bool
) -> None:
    use(stream, "3", dt.datetime.now(dt.UTC))
    with system_scope():
        stream_end(actor=operator_of(stream.tenant_id), stream_id=stream.id)
    world.control.advance(seconds=5)
    world.settle()
    (charge,) = world.api.v1.charges.list().data
    disputed = world.control.open_dispute(charge.id)
    world.settle()
    assert findings().keys() == {"dispute_unknown"}
    if is_won:
        evidence = {"uncategorized_text": "winning_evidence"}
        world.api.v1.disputes.update(disputed, {"evidence": evidence})
    else:
        world.api.v1.disputes.close(disputed)
    world.settle()
    assert findings() == {}
    assert books().get("bad_debt  USD", 0) == (0 if is_won else 15)
    assert "provider_dispute stripe USD" not in books()
    assert stripe_reconcile().differences == ()
