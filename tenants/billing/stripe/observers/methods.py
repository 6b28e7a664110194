"""Saved payment methods: what a customer may be charged by. The one that was saved, or chosen, last
is the default.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now

from tenants.billing.stripe.calls import call_queue
from tenants.billing.stripe.client import stripe_mode
from tenants.billing.stripe.models import StripeObject
from tenants.billing.stripe.objects import Owner, Seen, object_known, object_see
from tenants.billing.stripe.states import FINAL
from tenants.kernel.clock import database_now

KIND = "payment_method"
DEFAULT, ATTACHED, DETACHED = "default", "attached", "detached"
CHOSEN = "default"  # of a customer's facts: the method that was chosen in the portal


def method_observe(seen: Seen) -> None:
    customer = object_known("customer", seen.id_of("customer"))
    known = object_known(KIND, seen.id)
    owner = customer or known
    if owner is None:
        return
    state = _attached(owner.tenant_id, known) if customer else DETACHED
    object_see(seen, Owner(owner.tenant_id, ""), state=state, data=_shown(seen))
    if known is None and customer and customer.data.get(CHOSEN) == seen.id:
        method_choose(owner.tenant_id, seen.id)
    _default_ensure(owner.tenant_id)


def method_choose(tenant_id: str, stripe_id: str) -> None:
    """Charge this one of the saved methods; one that is not known yet, once it is."""
    rows = _saved(tenant_id)
    if rows.filter(stripe_id=stripe_id).exclude(state=DEFAULT).exists():
        rows.filter(state=DEFAULT).update(state=ATTACHED)
        rows.filter(stripe_id=stripe_id).update(state=DEFAULT)
        _charge_plans(tenant_id, stripe_id)


def methods_detach(tenant_id: str, *, customer: str = "", method: str = "") -> None:
    """They cannot be charged any more: all of a customer that is gone, or the one."""
    rows = _saved(tenant_id)
    rows = rows.filter(stripe_id=method) if method else rows.filter(data__customer=customer)
    rows.update(state=DETACHED, seen_at=Now())
    _default_ensure(tenant_id)


def _saved(tenant_id: str) -> QuerySet[StripeObject]:
    """Those that can be charged, in the present mode."""
    rows: QuerySet[StripeObject] = StripeObject.objects.filter(
        tenant_id=tenant_id, kind=KIND, mode=stripe_mode(), state__in=[DEFAULT, ATTACHED]
    )
    return rows


def _default_ensure(tenant_id: str) -> None:
    """Where the default is gone, the latest of the others takes its place."""
    rows = _saved(tenant_id)
    latest = rows.order_by("-id").first()
    if latest is not None and not rows.filter(state=DEFAULT).exists():
        rows.filter(pk=latest.pk).update(state=DEFAULT)
        _charge_plans(tenant_id, latest.stripe_id)


def _charge_plans(tenant_id: str, method: str) -> None:
    """A subscription names what it is charged by: from now on the new default."""
    running = StripeObject.objects.filter(
        tenant_id=tenant_id, kind="subscription", mode=stripe_mode()
    ).exclude(state__in=FINAL["subscription"])
    for row in running.order_by("id"):
        call_queue(
            tenant_id=tenant_id,
            operation="subscription.update",
            key=f"{row.stripe_id}:{database_now().isoformat()}",
            params={"default_payment_method": method},
            target=row.stripe_id,
        )


def _attached(tenant_id: str, known: StripeObject | None) -> str:
    """As it was; the first one is the default."""
    if known is not None and known.state != DETACHED:
        return known.state
    return ATTACHED if _saved(tenant_id).filter(state=DEFAULT).exists() else DEFAULT


def method_saved(seen: Seen, tenant_id: str) -> None:
    """A customer has just saved it: from now on it is the one that is charged. Once a visit."""
    _saved(tenant_id).filter(state=DEFAULT).update(state=ATTACHED)
    object_see(seen, Owner(tenant_id, ""), state=DEFAULT, data=_shown(seen))
    _charge_plans(tenant_id, seen.id)


def _shown(seen: Seen) -> dict[str, Any]:
    kind = str(seen.data.get("type"))
    facts = seen.data.get(kind) or {}
    names = ("brand", "last4", "exp_month", "exp_year", "bank_name", "country")
    customer = seen.id_of("customer")
    return {
        "type": kind,
        "customer": customer,
        **{name: facts[name] for name in names if facts.get(name)},
    }
