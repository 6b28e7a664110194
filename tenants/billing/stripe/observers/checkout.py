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
    ended = _move(owner.our_id, seen)
    setup = seen.part("setup_intent") if ended else None
    if setup is not None and (method := setup.part("payment_method")):
        method_saved(method, owner.tenant_id)


def page_observe(seen: Seen) -> None:
    """A page that is only led to: the portal, a partner's onboarding."""
    owner = owner_of(seen)
    if owner is not None:
        StripeVisit.objects.filter(pk=owner.our_id, state=State.ASKED).update(
            state=State.READY, url=seen.data.get("url") or ""
        )


def _move(visit_id: str, seen: Seen) -> bool:
    """Bring a visit up to its session; return whether that has just ended it."""
    rows = StripeVisit.objects.filter(pk=visit_id).exclude(state__in=OVER)
    status = seen.data.get("status")
    if status == "open":
        rows.filter(state=State.ASKED).update(state=State.READY, url=seen.data.get("url") or "")
        return False
    if status not in {"expired", "complete"}:
        return False
    state = _completed(seen) if status == "complete" else State.EXPIRED
    return bool(rows.update(state=state, url="")) and state == State.DONE


def _completed(seen: Seen) -> State:
    """The customer has done their part; an asynchronous payment may still come or fail."""
    if seen.data.get("mode") == "setup":
        return State.DONE
    intent = seen.part("payment_intent")
    failed = intent is not None and intent.data.get("status") == "requires_payment_method"
    return State.FAILED if failed else State.PROCESSING
