"""The Billing-Meters way, for plans that an operator prices inside Stripe.

Usage is reported by the hour, exactly and once; what comes late, as one more event of its hour.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from django.db.models import Sum

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.billing.operators import operators_only, system_only
from tenants.billing.stripe.calls import answer_of, call_named, call_queue
from tenants.billing.stripe.findings import finding_open
from tenants.billing.stripe.metering import is_too_old, meter_values, plain
from tenants.billing.stripe.models import StripeCall, StripeReport, StripeStream
from tenants.billing.stripe.selectors import default_method
from tenants.billing.stripe.services.customers import customer_ensure
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.ids import new_id
from tenants.pricing.models import Price
from tenants.pricing.selectors.books import contract_in_force
from tenants.usage.meters import METERS
from tenants.usage.models import UsageHour

METERED = "metered"  # how such a subscription is known: metered:stream
_HOUR, _SECOND = dt.timedelta(hours=1), dt.timedelta(seconds=1)


def stream_start(*, actor: Actor, meter: str, event_name: str, price_id: str) -> StripeStream:
    """Let Stripe price the actor's tenant's usage of `meter` from the next hour on.

    `price_id` is a metered price in Stripe, on the meter that listens to `event_name`.
    Raises PermissionDenied, InvalidInput for an unknown meter, Conflict for one that is priced
    here or is with Stripe already, or where no payment method is saved.
    """
    operators_only(actor)
    if meter not in METERS:
        raise InvalidInput(f"no meter {meter!r}", param="meter")
    if StripeStream.objects.filter(
        tenant_id=actor.tenant_id, meter=meter, ended_at__isnull=True
    ).exists():
        raise Conflict(f"{meter} is priced by Stripe already", code="stream_exists")
    at = database_now()
    if is_priced_here(actor.tenant_id, meter, at):
        raise Conflict(
            f"{meter} has a price here: give this customer a book of its own in which it is free",
            code="priced_twice",
        )
    if not default_method(actor.tenant_id):
        raise Conflict("save a payment method first", code="payment_method_missing")
    stream: StripeStream = StripeStream.objects.create(
        id=new_id("stream_"),
        tenant_id=actor.tenant_id,
        meter=meter,
        event_name=event_name,
        price_id=price_id,
        since=_hour_of(at) + _HOUR,
    )
    _subscribe(stream)
    audit_record(actor=actor, action="stripe_stream.start", target=stream.id)
    return stream


def stream_end(*, actor: Actor, stream_id: str) -> StripeCall:
    """End a stream now: all it counted is reported before its subscription is cancelled.

    Raises PermissionDenied, NotFound.
    """
    operators_only(actor)
    stream = _locked(actor.tenant_id, stream_id)
    if stream is None:
        raise NotFound(f"no stream {stream_id!r}", param="stream_id")
    made = call_named(stream.tenant_id, "subscription.create", f"{METERED}:{stream.id}")
    last = _report(stream, until=database_now() + _HOUR)
    stream.ended_at = stream.ended_at or database_now()
    stream.save(update_fields=["ended_at"])
    audit_record(actor=actor, action="stripe_stream.end", target=stream.id)
    if made is None:
        raise NotFound(f"{stream_id} has no subscription", param="stream_id")
    return call_queue(
        tenant_id=stream.tenant_id,
        operation="subscription.cancel",
        key=f"{METERED}:{stream.id}",
        params={"invoice_now": True, "prorate": False},
        target=made,
        after=last or made,
    )


def stream_report(*, tenant_id: str, stream_id: str, until: dt.datetime) -> StripeCall | None:
    """Report a stream's whole hours before `until` that were not, or not in full (system scope).

    Returns the last call that was decided on, if any.
    """
    system_only()
    stream = _locked(tenant_id, stream_id)
    if stream is None or stream.ended_at is not None:
        return None
    return _report(stream, until=_hour_of(until))


def _report(stream: StripeStream, *, until: dt.datetime) -> StripeCall | None:
    """One after the other, so that whoever waits for the last one waits for all."""
    last: StripeCall | None = None
    now = database_now()
    told = {row.hour: row for row in StripeReport.objects.filter(stream=stream)}
    hours = UsageHour.objects.filter(
        tenant_id=stream.tenant_id, meter=stream.meter, hour__gte=stream.since, hour__lt=until
    )
    sums = hours.values_list("hour").annotate(total=Sum("quantity")).order_by("hour")
    for hour, total in sums:
        row = told.get(hour) or StripeReport(
            tenant_id=stream.tenant_id, stream=stream, hour=hour, quantity=Decimal(0), events=0
        )
        if total == row.quantity:
            continue
        if total < row.quantity or is_too_old(hour, now):
            _cannot(stream, row, total)
            continue
        for value in meter_values(total - row.quantity):
            row.events += 1
            last = _event(stream, row, value, min(hour + _HOUR - _SECOND, now), last)
        row.quantity = total
        row.save()
    return last


def _event(
    stream: StripeStream,
    row: StripeReport,
    value: Decimal,
    at: dt.datetime,
    after: StripeCall | None,
) -> StripeCall:
    customer = customer_ensure(tenant_id=stream.tenant_id)
    key = f"{stream.id}:{row.hour:%Y-%m-%dT%H}:{row.events}"
    return call_queue(
        tenant_id=stream.tenant_id,
        operation="meter_event.create",
        key=key,
        params={
            "event_name": stream.event_name,
            "identifier": key,
            "timestamp": int(at.timestamp()),
            "payload": {"stripe_customer_id": answer_of(customer), "value": plain(value)},
        },
        after=after or customer,
    )


def _cannot(stream: StripeStream, row: StripeReport, total: Decimal) -> None:
    finding_open(
        kind="meter_too_late",
        subject=f"{stream.id}:{row.hour:%Y-%m-%dT%H}",
        tenant_id=stream.tenant_id,
        evidence={"counted": f"{total:f}", "reported": f"{row.quantity:f}"},
        action="Stripe takes it no more: bill the difference by hand, or let it go",
    )


def _subscribe(stream: StripeStream) -> None:
    customer = customer_ensure(tenant_id=stream.tenant_id)
    call_queue(
        tenant_id=stream.tenant_id,
        operation="subscription.create",
        key=f"{METERED}:{stream.id}",
        params={
            "customer": answer_of(customer),
            "items": [{"price": stream.price_id}],
            "collection_method": "charge_automatically",
            "default_payment_method": default_method(stream.tenant_id),
            "off_session": True,
        },
        after=customer,
    )


def is_priced_here(tenant_id: str, meter: str, at: dt.datetime) -> bool:
    """Never both for one stream: the tenant's own book must give the meter away."""
    contract = contract_in_force(tenant_id, at)
    prices = Price.objects.filter(
        version__book=contract.book_id if contract else None,
        version__published_at__isnull=False,
        meter=meter,
    )
    latest = prices.order_by("-version__valid_from").first()
    return latest is None or latest.charge != {"model": "standard", "unit": "0"}


def _locked(tenant_id: str, stream_id: str) -> StripeStream | None:
    found: StripeStream | None = (
        StripeStream.objects.select_for_update().filter(pk=stream_id, tenant_id=tenant_id).first()
    )
    return found


def _hour_of(at: dt.datetime) -> dt.datetime:
    return at.replace(minute=0, second=0, microsecond=0)
