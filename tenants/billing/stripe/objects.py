"""What we know of Stripe's objects: whose each is, and how it stood when it was last seen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tenants.billing.operators import system_only
from tenants.billing.stripe.amounts import of_stripe
from tenants.billing.stripe.calls import ATTEMPT
from tenants.billing.stripe.client import stripe_mode
from tenants.billing.stripe.models import StripeCall, StripeObject
from tenants.billing.stripe.operations import METADATA_KEY
from tenants.billing.stripe.states import state_of


@dataclass(frozen=True)
class Seen:
    """An object as Stripe answered with it, to a request that began at `at`.

    `call`: whose answer it is, where it is one; objects without metadata are known by it alone.
    """

    data: Mapping[str, Any]
    at: dt.datetime
    call: StripeCall | None = None

    @property
    def kind(self) -> str:
        return str(self.data.get("object", ""))

    @property
    def id(self) -> str:
        return str(self.data.get("id", ""))

    @property
    def state(self) -> str:
        return state_of(self.kind, self.data)

    @property
    def metadata(self) -> Mapping[str, str]:
        return self.data.get("metadata") or {}

    def part(self, name: str) -> Seen | None:
        """An object within this one, where it was expanded."""
        value = self.data.get(name)
        return Seen(value, self.at) if isinstance(value, Mapping) else None

    def id_of(self, name: str) -> str:
        """The id of another object, expanded or not."""
        value = self.data.get(name)
        return str(value.get("id", "")) if isinstance(value, Mapping) else str(value or "")

    def amount(self, name: str) -> Decimal:
        """An amount in units of the object's currency."""
        return of_stripe(int(self.data.get(name) or 0), self.currency).amount

    @property
    def currency(self) -> str:
        return str(self.data.get("currency") or "").upper()


@dataclass(frozen=True)
class Owner:
    """Whose an object is, and what it is to us (the id of a visit, an invoice, a refund …)."""

    tenant_id: str
    our_id: str


def owner_of(seen: Seen) -> Owner | None:
    """By the call that made it, else by what we saw of it before. None: it is none of ours."""
    call_id = seen.metadata.get(METADATA_KEY)
    if call_id:
        call = StripeCall.objects.filter(pk=call_id).only("tenant_id", "key").first()
        if call is not None:
            return _owner(call)
    row = object_known(seen.kind, seen.id)
    if row is not None:
        return Owner(row.tenant_id, row.our_id)
    return _owner(seen.call) if seen.call else None


def _owner(call: StripeCall) -> Owner:
    """Whichever attempt it was."""
    return Owner(call.tenant_id, call.key.partition(ATTEMPT)[0])


def object_known(kind: str, stripe_id: str) -> StripeObject | None:
    rows = StripeObject.objects.filter(kind=kind, stripe_id=stripe_id)
    found: StripeObject | None = rows.first()
    return found


def object_ours(kind: str, tenant_id: str, our_id: str) -> StripeObject | None:
    """The latest of a tenant's objects of a kind that is `our_id` to us, in the present mode."""
    rows = StripeObject.objects.filter(
        kind=kind, tenant_id=tenant_id, our_id=our_id, mode=stripe_mode()
    )
    found: StripeObject | None = rows.order_by("-id").first()
    return found


def object_see(seen: Seen, owner: Owner, **facts: Any) -> StripeObject:
    """Remember how an object stands (system scope). What was seen later stays."""
    system_only()
    fields = {"our_id": owner.our_id, "state": seen.state, "seen_at": seen.at, **facts}
    if seen.currency:
        fields["currency"] = seen.currency
    row, made = StripeObject.objects.get_or_create(
        tenant_id=owner.tenant_id,
        kind=seen.kind,
        stripe_id=seen.id,
        defaults={"mode": stripe_mode(), **fields},
    )
    found: StripeObject = row
    if not made:
        StripeObject.objects.filter(pk=row.pk, seen_at__lte=seen.at).update(**fields)
        found.refresh_from_db()
    return found
