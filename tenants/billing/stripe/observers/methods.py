"""Saved payment methods: what a customer may be charged by. The latest saved one is the default."""

from __future__ import annotations

from typing import Any

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


def _attached(tenant_id: str, known: StripeObject | None) -> str:
    """As it was; the first one is the default."""
    if known is not None and known.state != DETACHED:
        return known.state
    others = StripeObject.objects.filter(tenant_id=tenant_id, kind=KIND, state=DEFAULT)
    return ATTACHED if others.exists() else DEFAULT


def method_saved(seen: Seen, tenant_id: str) -> None:
    """A customer has just saved it: from now on it is the one that is charged. Once a visit."""
    StripeObject.objects.filter(tenant_id=tenant_id, kind=KIND, state=DEFAULT).update(
        state=ATTACHED
    )
    object_see(seen, Owner(tenant_id, ""), state=DEFAULT, data=_shown(seen))


def _shown(seen: Seen) -> dict[str, Any]:
    kind = str(seen.data.get("type"))
    facts = seen.data.get(kind) or {}
    names = ("brand", "last4", "exp_month", "exp_year", "bank_name", "country")
    return {"type": kind, **{name: facts[name] for name in names if facts.get(name)}}
