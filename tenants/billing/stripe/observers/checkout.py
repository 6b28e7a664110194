"""Checkout sessions: where a visit's page is, and what came of it."""

from __future__ import annotations

from tenants.billing.stripe.models import StripeVisit
from tenants.billing.stripe.objects import Seen, object_see, owner_of
from tenants.billing.stripe.observers.methods import method_saved
from tenants.billing.stripe.observers.payments import intent_observe

State = StripeVisit.State
OVER = (State.DONE, State.EXPIRED, State.FAILED)


def session_observe(seen: Seen) -> None:
    """A session says where it leads and whether it is over; its payment says what was paid."""
    owner = owner_of(seen)
    if owner is None:
        return
    object_see(seen, owner)
    if intent := seen.part("payment_intent"):
        intent_observe(intent)
    setup = seen.part("setup_intent") if seen.data.get("status") == "complete" else None
    if setup is not None and (method := setup.part("payment_method")):
        method_saved(method, owner.tenant_id)
    _move(owner.our_id, seen)


def page_observe(seen: Seen) -> None:
    """A page that is only led to: the portal, a partner's onboarding."""
    owner = owner_of(seen)
    if owner is not None:
        StripeVisit.objects.filter(pk=owner.our_id, state=State.ASKED).update(
            state=State.READY, url=seen.data.get("url") or ""
        )


def _move(visit_id: str, seen: Seen) -> None:
    rows = StripeVisit.objects.filter(pk=visit_id).exclude(state__in=OVER)
    status = seen.data.get("status")
    if status == "open":
        rows.filter(state=State.ASKED).update(state=State.READY, url=seen.data.get("url") or "")
    elif status == "expired":
        rows.update(state=State.EXPIRED, url="")
    elif status == "complete":
        rows.update(state=_completed(seen), url="")


def _completed(seen: Seen) -> State:
    """The customer has done their part; an asynchronous payment may still come or fail."""
    if seen.data.get("mode") == "setup":
        return State.DONE
    intent = seen.part("payment_intent")
    failed = intent is not None and intent.data.get("status") == "requires_payment_method"
    return State.FAILED if failed else State.PROCESSING
