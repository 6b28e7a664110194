"""Nothing is collected for what is over: a contract, a book of one's own, a closed organisation."""

from __future__ import annotations

import datetime as dt

from django.db.models import Exists, OuterRef, Q

from tenants.accounts.actors import system_actor
from tenants.accounts.models import Tenant
from tenants.accounts.selectors import tenant_is_closed
from tenants.billing.operators import system_only
from tenants.billing.periods import Period
from tenants.billing.stripe.calls import ATTEMPT
from tenants.billing.stripe.client import stripe_mode
from tenants.billing.stripe.models import StripeCall, StripeStream
from tenants.billing.stripe.selectors import is_priced_here, subscription_of
from tenants.billing.stripe.services.metering import METERED, stream_end
from tenants.billing.stripe.services.subscriptions import subscription_cancel
from tenants.kernel.clock import now as clock_now
from tenants.pricing.models import Contract


def collections_end(*, tenant_id: str = "", now: dt.datetime | None = None) -> int:
    """Cancel each subscription whose contract ends within this month, which is paid in advance,
    and end each stream of a meter that is priced here again; all of those of closed tenants.

    `tenant_id`: of one tenant only. In the system's scope; safe to repeat. Returns how many.
    """
    system_only()
    at = now or clock_now()
    of = {"tenant_id": tenant_id} if tenant_id else {}
    return _plans_end(of, at) + _streams_end(of, at)


def _plans_end(of: dict[str, str], at: dt.datetime) -> int:
    rows = StripeCall.objects.filter(operation="subscription.create", mode=stripe_mode(), **of)
    cancelled = StripeCall.objects.filter(
        tenant_id=OuterRef("tenant_id"),
        operation="subscription.cancel",
        key=OuterRef("key"),
        mode=OuterRef("mode"),
    )
    rows = rows.exclude(state=StripeCall.State.REFUSED).exclude(key__startswith=f"{METERED}:")
    begun = rows.filter(~Exists(cancelled)).order_by("id").values_list("tenant_id", "key")
    plans = dict.fromkeys((owner, key.partition(ATTEMPT)[0]) for owner, key in begun)
    ended = _contracts_over(of, at)
    over = [plan for plan in plans if plan[1] in ended and _runs(*plan)]
    for owner, contract_id in over:
        subscription_cancel(actor=system_actor(owner), contract_id=contract_id)
    return len(over)


def _streams_end(of: dict[str, str], at: dt.datetime) -> int:
    rows = StripeStream.objects.filter(ended_at__isnull=True, **of).order_by("id")
    over = [
        row
        for row in rows
        if tenant_is_closed(row.tenant_id) or is_priced_here(row.tenant_id, row.meter, at)
    ]
    for row in over:
        stream_end(actor=system_actor(row.tenant_id), stream_id=row.id)
    return len(over)


def _contracts_over(of: dict[str, str], at: dt.datetime) -> set[str]:
    """Contracts that end within this month, and all of closed tenants."""
    ends = Q(ends__lte=Period.of(at).end) | Q(tenant__status=Tenant.Status.CLOSED)
    return set(Contract.objects.filter(ends, **of).values_list("id", flat=True))


def _runs(tenant_id: str, contract_id: str) -> bool:
    return subscription_of(tenant_id=tenant_id, contract_id=contract_id).runs
