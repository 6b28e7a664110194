"""Sign-up with its welcome credit: a tenant, its owner and its first grant come together."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from django.conf import settings

from tenants.accounts.services import SignedUp, platform_tenant_ensure, tenant_sign_up
from tenants.kernel.clock import now
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.ledger.chart import GrantKind
from tenants.ledger.services import grant_issue
from tenants.pricing.cards import CURRENCY


def customer_sign_up(
    *, organisation: str, email: str, password: str, name: str = "", is_partner: bool = False
) -> SignedUp:
    """Make a tenant with its owner, as `tenant_sign_up` does, and give it its welcome credit.

    One transaction: the first request may follow at once. Raises as `tenant_sign_up` does.
    """
    with system_scope():
        platform_tenant_ensure()  # who gives the credit; on a fresh system it is not there yet
        signed_up = tenant_sign_up(
            organisation=organisation,
            email=email,
            password=password,
            name=name,
            is_partner=is_partner,
        )
        welcome_credit_grant(tenant_id=signed_up.tenant.id)
    return signed_up


def welcome_credit_grant(*, tenant_id: str) -> str | None:
    """Grant a new tenant its promotion, once for ever (system scope). None where there is none."""
    amount = Decimal(settings.WELCOME_CREDIT)
    if amount <= 0:
        return None
    return grant_issue(
        tenant_id=tenant_id,
        key="welcome",
        kind=GrantKind.PROMOTION,
        amount=Money(amount, CURRENCY),
        expires_at=now() + dt.timedelta(days=settings.WELCOME_CREDIT_DAYS),
        source="welcome",
    )
