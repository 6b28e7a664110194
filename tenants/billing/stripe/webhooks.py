"""Webhooks: verified, kept by their id, answered at once; acted upon later, by the object's state.

https://docs.stripe.com/webhooks: they come late, twice and out of order, and some not at all.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from stripe import SignatureVerificationError, WebhookSignature

from tenants.billing.stripe.client import API_VERSION, LIVE, stripe_mode
from tenants.billing.stripe.events import StripeEventReceived
from tenants.billing.stripe.findings import finding_open
from tenants.billing.stripe.models import StripeEvent
from tenants.kernel.errors import InvalidInput, Unavailable
from tenants.kernel.outbox import emit
from tenants.kernel.scope import system_scope

TOLERANCE_S = 300  # of the signature's age, as Stripe advises
MOST_BYTES = 1024 * 1024


def event_receive(payload: bytes, signature: str) -> bool:
    """Keep a webhook; False where it was known. Outside of any scope.

    Raises InvalidInput for one that is not Stripe's, is too old or unreadable, Unavailable where no
    secret is set to check it with.
    """
    _verify(payload, signature)
    event = _read(payload)
    with system_scope():
        return _keep(event)


def _verify(payload: bytes, signature: str) -> None:
    """Under any of the secrets: there are two while one replaces the other."""
    secrets = [part.strip() for part in settings.STRIPE_WEBHOOK_SECRET.split(",") if part.strip()]
    if not secrets:
        raise Unavailable("set STRIPE_WEBHOOK_SECRET", code="stripe_off")
    for secret in secrets:
        try:
            WebhookSignature.verify_header(payload, signature, secret, TOLERANCE_S)
        except (SignatureVerificationError, UnicodeDecodeError):
            continue
        return
    raise InvalidInput("this signature is not Stripe's, or too old", code="signature")


def _read(payload: bytes) -> Mapping[str, Any]:
    try:
        event = json.loads(payload)
        shown = event["data"]["object"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput("this is no event of Stripe's", code="event") from error
    if event.get("object") != "event" or not isinstance(shown, dict) or not event.get("id"):
        raise InvalidInput("this is no event of Stripe's", code="event")
    found: Mapping[str, Any] = event
    return found


def _keep(event: Mapping[str, Any]) -> bool:
    shown = event["data"]["object"]
    row, made = StripeEvent.objects.get_or_create(
        id=event["id"],
        defaults={
            "type": str(event.get("type", ""))[:120],
            "api_version": str(event.get("api_version") or ""),
            "livemode": bool(event.get("livemode")),
            "account": str(event.get("account") or ""),
            "kind": str(shown.get("object", ""))[:60],
            "object_id": str(shown.get("id", ""))[:120],
            "made_at": dt.datetime.fromtimestamp(int(event.get("created") or 0), tz=dt.UTC),
        },
    )
    if made:
        _alarm(row)
        emit(StripeEventReceived(tenant_id=None, stripe_event_id=row.id, type=row.type))
    return bool(made)


def _alarm(row: StripeEvent) -> None:
    if row.api_version != API_VERSION:
        finding_open(
            kind="api_version",
            subject=row.api_version or "none",
            evidence={"event": row.id, "type": row.type, "pinned": API_VERSION},
            action=f"set the webhook endpoint's API version to {API_VERSION}",
        )
    if row.livemode != (stripe_mode() == LIVE):
        finding_open(
            kind="mode",
            subject="live" if row.livemode else "test",
            evidence={"event": row.id, "type": row.type, "ours": stripe_mode()},
            action="this endpoint gets the other mode's events: point them elsewhere",
        )
