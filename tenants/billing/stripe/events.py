"""Facts about what goes to Stripe and comes from it."""

from __future__ import annotations

from dataclasses import dataclass

from tenants.kernel.events import Event


@dataclass(frozen=True)
class StripeCallQueued(Event, name="stripe_call.queued", aggregate="call_id"):
    """A request to Stripe waits for its sender."""

    call_id: str
    operation: str


@dataclass(frozen=True)
class StripeEventReceived(Event, name="stripe_event.received", aggregate="stripe_event_id"):
    """A webhook came, was genuine and is kept."""

    stripe_event_id: str
    type: str


@dataclass(frozen=True)
class StripeVisitAsked(Event, name="stripe_visit.asked", aggregate="visit_id"):
    """A customer wants to one of Stripe's pages."""

    visit_id: str
    kind: str


@dataclass(frozen=True)
class StripeFindingOpened(Event, name="stripe_finding.opened", aggregate="finding_id"):
    """Stripe and our books disagree, or a person must decide."""

    finding_id: str
    kind: str
    subject: str
