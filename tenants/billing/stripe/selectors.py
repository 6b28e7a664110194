"""Reads about Stripe, in the scope in force: a tenant's own, or everyone's for the system."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from django.db.models import Exists, OuterRef, QuerySet

from tenants.billing.stripe.calls import call_named
from tenants.billing.stripe.client import stripe_is_on, stripe_mode
from tenants.billing.stripe.models import (
    StripeCall,
    StripeFinding,
    StripeObject,
    StripeVisit,
)
from tenants.billing.stripe.states import FINAL
from tenants.kernel.errors import NotFound
from tenants.pricing.models import Price
from tenants.pricing.selectors.books import contract_in_force

INVOICE, METHOD = "invoice", "payment_method"
REFUSED = StripeCall.State.REFUSED


def visit_of(*, tenant_id: str, visit_id: str) -> StripeVisit:
    """A visit, to be looked at until its `url` is there. Raises NotFound."""
    row: StripeVisit | None = StripeVisit.objects.filter(pk=visit_id, tenant_id=tenant_id).first()
    if row is None:
        raise NotFound(f"no visit {visit_id!r}", param="visit_id")
    return row


def methods_of(tenant_id: str) -> QuerySet[StripeObject]:
    """A tenant's saved payment methods, the default first: `data` has brand, last4, expiry."""
    rows: QuerySet[StripeObject] = StripeObject.objects.filter(
        tenant_id=tenant_id, kind=METHOD, state__in=["default", "attached"]
    )
    rows = rows.filter(mode=stripe_mode()) if stripe_is_on() else rows.none()
    return rows.order_by("-state", "-id")


def default_method(tenant_id: str) -> str:
    """Stripe's id of the method that is charged without asking, or nothing."""
    rows = StripeObject.objects.filter(
        tenant_id=tenant_id, kind=METHOD, mode=stripe_mode(), state="default"
    )
    return rows.order_by("-id").values_list("stripe_id", flat=True).first() or ""


def invoice_page(*, tenant_id: str, invoice_id: str) -> str:
    """The address of Stripe's own page of an invoice, on which it is paid; nothing until known."""
    if not stripe_is_on():
        return ""
    rows = StripeObject.objects.filter(
        tenant_id=tenant_id, kind=INVOICE, our_id=invoice_id, mode=stripe_mode(), state="open"
    )
    return rows.order_by("-id").values_list("url", flat=True).first() or ""


def invoice_call(tenant_id: str, invoice_id: str) -> StripeCall | None:
    """The latest call that puts one of our invoices into Stripe, unless that came to nothing."""
    rows = StripeCall.objects.filter(tenant_id=tenant_id, mode=stripe_mode())
    opened = rows.filter(operation="invoice.finalize", key=OuterRef("key"))
    made = rows.filter(operation="invoice.create", key__startswith=f"{invoice_id}:")
    made = made.exclude(state=REFUSED).exclude(Exists(opened.filter(state=REFUSED)))
    found: StripeCall | None = made.order_by("-id").first()
    return found


@dataclass(frozen=True)
class Subscription:
    """How a contract's fee is collected. `status`: Stripe's word, or before that "starting", after
    it "ending", or "refused" with the `error`; nothing where nobody asked for it.
    """

    contract_id: str
    tenant_id: str
    status: str = ""
    stripe_id: str = ""
    error: str = ""

    @property
    def runs(self) -> bool:
        """Whether the fee is collected, or is about to be."""
        return self.status not in {"", "refused", "ending", *FINAL["subscription"]}


def subscription_of(*, tenant_id: str, contract_id: str) -> Subscription:
    """How a contract's plan fee is collected through Stripe."""
    bare = Subscription(contract_id, tenant_id)
    made = call_named(tenant_id, "subscription.create", contract_id) if stripe_is_on() else None
    if made is None:
        return bare
    if made.state == REFUSED:
        return replace(bare, status="refused", error=made.error)
    found = StripeObject.objects.filter(
        kind="subscription", stripe_id=made.answer_id, mode=made.mode
    ).first()
    status = found.state if found is not None else "starting"
    ending = call_named(tenant_id, "subscription.cancel", made.key)
    if ending is not None and status not in FINAL["subscription"]:
        status = "ending"
    return replace(bare, status=status, stripe_id=made.answer_id)


def is_priced_here(tenant_id: str, meter: str, at: dt.datetime) -> bool:
    """Never both for one stream: the tenant's own book must give the meter away."""
    contract = contract_in_force(tenant_id, at)
    prices = Price.objects.filter(
        version__book=contract.book_id if contract else None,
        version__published_at__isnull=False,
        meter=meter,
    )
    latest = prices.order_by("-version__valid_from").first()
    return latest is None or latest.charge != {"model": "standard", "unit": "0"}


def findings_open() -> QuerySet[StripeFinding]:
    """What a person must look at, the oldest first. For operators."""
    rows = StripeFinding.objects.filter(state=StripeFinding.State.OPEN)
    return rows.order_by("first_seen_at")
