"""Acting on kept webhooks: fetch the object that each is about, then observe its state."""

from __future__ import annotations

import datetime as dt

import structlog
from django.db.models.functions import Now
from stripe import StripeError

from tenants.billing.stripe.client import LIVE, stripe_mode
from tenants.billing.stripe.errors import said
from tenants.billing.stripe.fetching import KINDS, fetch
from tenants.billing.stripe.models import StripeEvent
from tenants.billing.stripe.observing import OBSERVERS, observe
from tenants.kernel.clock import database_now
from tenants.kernel.scope import system_scope

log = structlog.get_logger(__name__)

LEASE = dt.timedelta(minutes=3)
KEPT_FOR = dt.timedelta(days=90)  # Stripe itself keeps them for 30
MAX_BACK_OFF = dt.timedelta(minutes=30)
NEW, HANDLED, IGNORED = (
    StripeEvent.State.NEW,
    StripeEvent.State.HANDLED,
    StripeEvent.State.IGNORED,
)


def events_handle(*, limit: int = 200) -> int:
    """Act on webhooks that are due, one object at a time; return how many webhooks there were.

    All that wait for one object are dealt with by one fetch. Outside of any scope; safe to run in
    several processes at once.
    """
    count = 0
    while count < limit and (events := _claim()):
        _handle(events)
        count += len(events)
    return count


def events_purge(*, now: dt.datetime | None = None) -> int:
    """Forget webhooks that were dealt with `KEPT_FOR` ago; return how many. Outside of any scope.

    One that came once more would do no harm: its object is looked at, and nothing is new.
    """
    with system_scope():
        before = (now or database_now()) - KEPT_FOR
        old = StripeEvent.objects.exclude(state=NEW).filter(handled_at__lt=before)
        deleted: int = old.delete()[0]
        return deleted


def _claim() -> list[StripeEvent]:
    """The oldest due webhook, and the others about its object."""
    with system_scope():
        due = StripeEvent.objects.filter(state=NEW, available_at__lte=Now())
        first = due.select_for_update(skip_locked=True).order_by("received_at", "id").first()
        if first is None:
            return []
        same = due.filter(kind=first.kind, object_id=first.object_id, account=first.account)
        rows = list(same.select_for_update(skip_locked=True).order_by("id"))
        until = database_now() + LEASE
        StripeEvent.objects.filter(pk__in=[row.pk for row in rows]).update(
            available_at=until, attempts=first.attempts + 1
        )
        return rows


def _handle(events: list[StripeEvent]) -> None:
    one = events[0]
    ids = [event.pk for event in events]
    if one.kind not in OBSERVERS or one.kind not in KINDS or not _ours(one):
        with system_scope():
            _close(ids, IGNORED)
        return
    try:
        seen = fetch(one.kind, one.object_id)
    except StripeError as error:
        _put_off(ids, one.attempts + 1, said(error))
        return
    try:
        with system_scope():
            if seen is not None:
                observe(seen)
            _close(ids, HANDLED)
    except Exception as error:  # one that cannot be acted on holds back no other
        log.exception("stripe event failed", events=ids)
        _put_off(ids, one.attempts + 1, repr(error)[:500])


def _ours(event: StripeEvent) -> bool:
    """Of our mode, and not of a partner's own business: its account's state alone is ours."""
    is_partners = bool(event.account) and event.kind != "account"
    return event.livemode == (stripe_mode() == LIVE) and not is_partners


def _close(ids: list[str], state: str) -> None:
    StripeEvent.objects.filter(pk__in=ids).update(state=state, handled_at=Now(), error="")


def _put_off(ids: list[str], attempts: int, error: str) -> None:
    log.warning("stripe event put off", events=ids, error=error)
    delay = min(dt.timedelta(seconds=2 ** min(attempts, 16)), MAX_BACK_OFF)
    with system_scope():
        StripeEvent.objects.filter(pk__in=ids).update(error=error, available_at=Now() + delay)
