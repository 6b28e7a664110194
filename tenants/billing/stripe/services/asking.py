"""Asking for a visit to one of Stripe's pages: in the tenant's scope, by a member."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import urlsplit

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
    return_url: str,
    amount: Decimal | None = None,
    currency: str = "",
) -> StripeVisit:
    """Write down that a member wants to a page; the relay has it opened.

    Raises PermissionDenied, StripeOff, InvalidInput for a way back that is not ours.
    """
    actor.require("billing.write")
    stripe_mode()
    _check_url(return_url)
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


def _check_url(url: str) -> None:
    """Back to ourselves only: an address of anybody's own would make us an open redirect."""
    own, given = urlsplit(settings.BASE_URL), urlsplit(url)
    if (given.scheme, given.netloc) != (own.scheme, own.netloc) or len(url) > 500:
        raise InvalidInput(f"come back to an address under {settings.BASE_URL}", param="return_url")
