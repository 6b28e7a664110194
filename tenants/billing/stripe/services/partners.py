"""A partner's connected account: made, and led through Stripe's onboarding."""

from __future__ import annotations

from tenants.accounts.actors import Actor
from tenants.billing.operators import system_only
from tenants.billing.selectors.tax import tax_profile
from tenants.billing.stripe.calls import answer_of, attempt_key, call_queue
from tenants.billing.stripe.models import StripeCall, StripeVisit
from tenants.billing.stripe.services.asking import visit_ask
from tenants.kernel.errors import Conflict

ACCOUNT = "account"


def onboarding_start(*, actor: Actor, back: str) -> StripeVisit:
    """Ask for the page on which a partner tells Stripe who it is and where its bank is.

    Raises PermissionDenied, StripeOff, Conflict before the country is in the tax profile.
    """
    if not tax_profile(actor.tenant_id).country:
        raise Conflict("say which country you are in first", code="country_missing")
    return visit_ask(actor=actor, kind=StripeVisit.Kind.ONBOARDING, back=back)


def onboarding_open(*, tenant_id: str, visit: StripeVisit) -> StripeCall:
    """Decide on the calls that open an onboarding's page (system scope)."""
    system_only()
    account = account_ensure(tenant_id=tenant_id)
    params = {
        "account": answer_of(account),
        "type": "account_onboarding",
        "refresh_url": visit.return_url,
        "return_url": visit.return_url,
    }
    return call_queue(
        tenant_id=tenant_id,
        operation="account_link.create",
        key=visit.id,
        params=params,
        after=account,
    )


def account_ensure(*, tenant_id: str) -> StripeCall:
    """The call that makes a partner's account: paid by transfers, we bear fees and losses.

    Where Stripe refused one, such as of a country where it pays nobody, it is asked again.
    """
    system_only()
    return call_queue(
        tenant_id=tenant_id,
        operation="account.create",
        key=attempt_key(tenant_id, "account.create", ACCOUNT),
        params={
            "country": tax_profile(tenant_id).country,
            "controller": {
                "fees": {"payer": "application"},
                "losses": {"payments": "application"},
                "stripe_dashboard": {"type": "express"},
            },
            "capabilities": {"transfers": {"requested": True}},
        },
    )
