"""Saved payment methods: what a customer may be charged by. The latest saved one is the default."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now

from tenants.billing.stripe.client import stripe_mode
from tenants.billing.stripe.models import StripeObject
from tenants.billing.stripe.objects import Owner, Seen, object_known, object_see

KIND = "payment_method"
DEFAULT, ATTACHED, DETACHED = "default", "attached", "detached"


def method_observe(seen: Seen) -> None:
    customer = object_known("customer", seen.id_of("customer"))
    known = object_known(KIND, seen.id)
    owner = customer or known
    if owner is None:
        return
    state = _attached(owner.tenant_id, known) if customer else DETACHED
    object_see(seen, Owner(owner.tenant_id, ""), state=state, data=_shown(seen))
    _default_ensure(owner.tenant_id)


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


def _attached(tenant_id: str, known: StripeObject | None) -> str:
    """As it was; the first one is the default."""
    if known is not None and known.state != DETACHED:
        return known.state
    return ATTACHED if _saved(tenant_id).filter(state=DEFAULT).exists() else DEFAULT


def method_saved(seen: Seen, tenant_id: str) -> None:
    """A customer has just saved it: from now on it is the one that is charged. Once a visit."""
    _saved(tenant_id).filter(state=DEFAULT).update(state=ATTACHED)
    object_see(seen, Owner(tenant_id, ""), state=DEFAULT, data=_shown(seen))


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
