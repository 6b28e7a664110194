"""Sending what was decided: claim, send outside of any transaction, record the answer.

A process may die between any two of these. What was sent and not answered is sent again under the
same idempotency key, or, once Stripe may have forgotten the key, looked up first.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import structlog
from django.db.models import Q
from django.db.models.functions import Now
from stripe import InvalidRequestError, StripeError

from tenants.billing.stripe.calls import params_of, target_of
from tenants.billing.stripe.client import stripe_client, stripe_mode
from tenants.billing.stripe.errors import Forestalled, OutcomeLost, Verdict, said, verdict_on
from tenants.billing.stripe.fetching import KINDS, fetch
from tenants.billing.stripe.findings import finding_open
from tenants.billing.stripe.models import StripeCall
from tenants.billing.stripe.objects import Seen
from tenants.billing.stripe.observing import observe
from tenants.billing.stripe.operations import OPERATIONS, found_again
from tenants.billing.stripe.refusals import call_refused
from tenants.kernel.clock import database_now
from tenants.kernel.scope import system_scope

log = structlog.get_logger(__name__)

LEASE = dt.timedelta(minutes=3)  # longer than the SDK's time-out and retries
KEY_LIFE = dt.timedelta(hours=23)  # Stripe may prune a key after 24
CLOCK_SKEW = dt.timedelta(hours=1)  # by which our clock may be ahead of Stripe's
MAX_BACK_OFF = dt.timedelta(minutes=30)
QUEUED, SENT = StripeCall.State.QUEUED, StripeCall.State.SENT
DONE, REFUSED = StripeCall.State.DONE, StripeCall.State.REFUSED


def calls_send(*, limit: int = 100) -> int:
    """Send calls that are due, one after the other; return how many. Outside of any scope.

    Safe to run in several processes at once. Raises StripeOff without a usable key.
    """
    mode = stripe_mode()
    count = 0
    while count < limit and (call := _claim(mode)) is not None:
        _send(call)
        count += 1
    return count


def _claim(mode: str) -> StripeCall | None:
    """Take the oldest call that is due and waits for none, until `LEASE` is over.

    One that waited for what was refused is taken too: to be refused.
    """
    with system_scope():
        due = StripeCall.objects.filter(
            Q(after=None) | Q(after__state__in=[DONE, REFUSED]),
            state__in=[QUEUED, SENT],
            available_at__lte=Now(),
            mode=mode,
        )
        row: StripeCall | None = (
            due.select_for_update(skip_locked=True, of=("self",)).order_by("id").first()
        )
        if row is None:
            return None
        row.earlier = row.state == SENT  # type: ignore[attr-defined]
        row.sent_at = row.sent_at or database_now()
        row.state = SENT
        row.attempts += 1
        row.available_at = database_now() + LEASE
        row.save(update_fields=["state", "attempts", "available_at", "sent_at"])
        return row


def _send(call: StripeCall) -> None:
    began = _now()
    try:
        target, params = _prepared(call)
        _answered(call, _asked(call, target, params, began))
    except StripeError as error:
        _failed(call, error)
    except Exception as error:  # it is asked again, and Stripe answers as before
        log.exception("stripe call broke", call=call.id, operation=call.operation)
        with system_scope():
            StripeCall.objects.filter(pk=call.pk, state=SENT).update(
                error=repr(error)[:500], available_at=Now() + _back_off(call.attempts)
            )


def _prepared(call: StripeCall) -> tuple[str, dict[str, Any]]:
    """What it acts on, and with what. Raises Forestalled, Unready."""
    with system_scope():
        if call.after is not None and call.after.state == REFUSED:
            raise Forestalled(call.after.operation)
        return target_of(call), params_of(call)


def _asked(call: StripeCall, target: str, params: dict[str, Any], began: dt.datetime) -> Seen:
    """Have it done, or find that it was; return the object as it then stands."""
    operation = OPERATIONS[call.operation]
    found = _found(call, target, params, began)
    if found is not None:
        return _whole(found, call, began)
    options = {"idempotency_key": call.idempotency_key}
    try:
        answer = operation.send(stripe_client().v1, target, params, options)
    except InvalidRequestError:
        acted_on = fetch(operation.kind, target) if operation.kind else None
        if acted_on is None or acted_on.state not in operation.done:
            raise
        return acted_on  # an earlier try did it, unheard
    return _whole(answer, call, began)


def _found(call: StripeCall, target: str, params: dict[str, Any], now: dt.datetime) -> Any:
    """What an earlier try made, where Stripe may have forgotten its key. Raises OutcomeLost."""
    assert call.sent_at is not None  # noqa: S101 -- set by the claim
    if not call.earlier or now - call.sent_at <= KEY_LIFE:  # type: ignore[attr-defined]
        return None
    if OPERATIONS[call.operation].once:
        raise OutcomeLost
    since = int((call.sent_at - CLOCK_SKEW).timestamp())
    return found_again(stripe_client(), call.operation, target, params, call.id, since)


def _whole(answer: Any, call: StripeCall, began: dt.datetime) -> Seen:
    """The answer with all that is needed to act on it: fetched anew where it came without."""
    seen = Seen(answer.to_dict(), began, call)
    kind = KINDS.get(seen.kind)
    if kind is None or not kind.expand or not seen.id:
        return seen
    return fetch(seen.kind, seen.id) or seen


def _answered(call: StripeCall, seen: Seen) -> None:
    """Record, in one transaction, the answer and all that follows from it."""
    with system_scope():
        observe(seen)
        StripeCall.objects.filter(pk=call.pk).update(
            state=DONE, answer_id=seen.id, error="", done_at=Now()
        )


def _failed(call: StripeCall, error: StripeError) -> None:
    verdict = verdict_on(error)
    if verdict is Verdict.NOT_NOW and not OPERATIONS[call.operation].waits:
        verdict = Verdict.FINAL
    log.warning("stripe call failed", call=call.id, operation=call.operation, error=said(error))
    with system_scope():
        rows = StripeCall.objects.filter(pk=call.pk, state=SENT)
        if verdict is Verdict.FINAL:
            rows.update(state=REFUSED, error=said(error), done_at=Now())
            _refuse(call, error)
        elif verdict is Verdict.NOT_NOW:  # nothing was done: a key of its own for the next try
            rows.update(
                state=QUEUED,
                sent_at=None,
                refusals=call.refusals + 1,
                error=said(error),
                available_at=Now() + _back_off(call.attempts),
            )
        else:
            rows.update(error=said(error), available_at=Now() + _back_off(call.attempts))


def _refuse(call: StripeCall, error: StripeError) -> None:
    """Whoever wanted it is told. What waits for it is refused in its turn."""
    call_refused(call, error if isinstance(error, InvalidRequestError) else None, said(error))
    if not OPERATIONS[call.operation].refusable and not isinstance(error, Forestalled):
        finding_open(
            kind="call_refused",
            subject=call.id,
            tenant_id=call.tenant_id,
            evidence={"operation": call.operation, "for": call.key, "error": said(error)},
            action="mend what Stripe refuses, then ask for it again",
        )


def _back_off(attempts: int) -> dt.timedelta:
    """2, 4, 8 … seconds, at most `MAX_BACK_OFF`."""
    return min(dt.timedelta(seconds=2 ** min(attempts, 16)), MAX_BACK_OFF)


def _now() -> dt.datetime:
    with system_scope():
        return database_now()
