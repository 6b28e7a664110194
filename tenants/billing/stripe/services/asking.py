"""Asking for a visit to one of Stripe's pages: in the tenant's scope, by a member."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.billing.stripe.client import stripe_mode
from tenants.billing.stripe.events import StripeVisitAsked
from tenants.billing.stripe.models import StripeVisit
from tenants.kernel.errors import InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit


def visit_ask(
    *,
    actor: Actor,
    kind: StripeVisit.Kind,
    back: str,
    amount: Decimal | None = None,
    currency: str = "",
) -> StripeVisit:
    """Write down that a member wants to a page; the relay has it opened.

    `back`: the path to come back to.
    Raises PermissionDenied, StripeOff, InvalidInput for a path that is not ours.
    """
    actor.require("billing.write")
    stripe_mode()
    return_url = _url_of(back)
    visit: StripeVisit = StripeVisit.objects.create(
        id=new_id("visit_"),
        tenant_id=actor.tenant_id,
        kind=kind,
        return_url=return_url,
        amount=amount,
        currency=currency,
    )
    audit_record(actor=actor, action=f"stripe.{kind}", target=visit.id)
    emit(StripeVisitAsked(tenant_id=visit.tenant_id, visit_id=visit.id, kind=str(kind)))
    return visit


def _url_of(path: str) -> str:
    """Back to ourselves only: an address of anybody's own would make us an open redirect."""
    if not path.startswith("/") or path.startswith(("//", "/\\")) or len(path) > 300:
        raise InvalidInput("come back to a path of ours, like /console/billing/", param="back")
    return f"{settings.BASE_URL}{path}"
