"""The marketplace: what partners submit, what services they sell, what they are stated and paid."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models.functions import Now

from tenants.kernel.fields import amount_field, party_field
from tenants.kernel.tenancy import TenantModel
from tenants.marketplace.states import ListingState, OrderState, PayoutState


def _price() -> models.DecimalField[Any, Decimal | None]:
    """An amount that may not be known yet."""
    return models.DecimalField(max_digits=38, decimal_places=12, null=True)


class Listing(TenantModel):
    """One version of a partner's plugin on its way to the marketplace. `tenant` is the partner."""

    id = models.CharField(max_length=40, primary_key=True)
    plugin = models.CharField(max_length=63)
    version = models.CharField(max_length=40)
    title = models.CharField(max_length=120)
    description = models.TextField(default="", blank=True)
    state = models.CharField(max_length=12, choices=ListingState, default=ListingState.SUBMITTED)
    reason = models.CharField(max_length=500, default="", blank=True)  # of the latest move
    manifest = models.JSONField()
    offers = models.JSONField(default=dict)
    submitted_report = models.JSONField(default=dict)  # its partner's: `submitted_reports.py`
    conformance = models.JSONField(default=dict)  # the platform's own: `plugins.kit.report.Report`
    check_tries = models.PositiveSmallIntegerField(default=0)  # the latest one may write
    check_until = models.DateTimeField(null=True)  # the lease of whoever checks
    checks_made = models.PositiveSmallIntegerField(default=0)
    check_subject = models.CharField(max_length=200, default="", blank=True)  # the latest
    wheel_name = models.CharField(max_length=200)
    wheel_key = models.CharField(max_length=200)
    wheel_sha256 = models.CharField(max_length=64)
    wheel_bytes = models.PositiveBigIntegerField()
    release_id = models.CharField(max_length=40, default="", blank=True)  # once published
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "listing"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "plugin", "version"],
                condition=~models.Q(state=ListingState.REFUSED),
                name="listing_once",
            ),
        )
        indexes = (
            models.Index(fields=["tenant", "-created_at"], name="listing_tenant"),
            models.Index(fields=["state", "created_at"], name="listing_review"),
        )

    def __str__(self) -> str:
        return f"{self.plugin} {self.version}"


class ListingStep(TenantModel):
    """A move of a listing, and why. Append-only."""

    id = models.BigAutoField(primary_key=True)
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="steps")
    state = models.CharField(max_length=12, choices=ListingState)
    reason = models.CharField(max_length=500, default="", blank=True)
    actor_kind = models.CharField(max_length=16)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "listing_step"
        indexes = (models.Index(fields=["tenant", "listing", "id"], name="listing_step_list"),)

    def __str__(self) -> str:
        return f"{self.listing_id} {self.state}"


class Service(models.Model):
    """A service on sale. `partner` sells it, or the platform's own tenant. Read by everyone."""

    class Billing(models.TextChoices):
        ONCE = "once"
        MONTHLY = "monthly"
        HOURLY = "hourly"

    id = models.CharField(max_length=40, primary_key=True)
    partner = party_field()
    name = models.CharField(max_length=63)
    title = models.CharField(max_length=120)
    description = models.TextField(default="", blank=True)
    billing = models.CharField(max_length=8, choices=Billing)
    price = _price()  # null: quoted on request
    currency = models.CharField(max_length=3)
    plugin = models.CharField(max_length=63, default="", blank=True)  # that declared it
    ratings = models.PositiveIntegerField(default=0)
    stars = models.PositiveIntegerField(default=0)  # the sum of all ratings
    created_at = models.DateTimeField(db_default=Now())
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "service"
        constraints = (
            models.UniqueConstraint(
                fields=["partner", "name"],
                condition=models.Q(withdrawn_at__isnull=True),
                name="service_once",
            ),
        )

    def __str__(self) -> str:
        return self.title


class Order(models.Model):
    """A customer's order of a service, seen by both parties: `customer`, and `seller`."""

    id = models.CharField(max_length=40, primary_key=True)
    customer = party_field()
    customer_name = models.CharField(max_length=120)  # for its seller, who cannot read tenants
    seller = party_field()
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=12, choices=OrderState, default=OrderState.ORDERED)
    quantity = amount_field()  # hours, months or pieces, as agreed; what is delivered may be less
    price = _price()  # of one; null until the seller says it
    currency = models.CharField(max_length=3)
    wish = models.TextField(default="", blank=True)
    milestones = models.JSONField(default=list)  # [{"title", "quantity", "confirmed"}]
    delivered = amount_field(default=0)  # quantity delivered and not yet confirmed
    confirmed = amount_field(default=0)  # quantity confirmed, and charged
    note = models.TextField(default="", blank=True)  # the latest delivery note
    quote_id = models.CharField(max_length=40, default="", blank=True)  # whose amount is held
    rating = models.PositiveSmallIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    accepted_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "service_order"
        indexes = (
            models.Index(fields=["customer", "-created_at"], name="order_customer"),
            models.Index(fields=["seller", "-created_at"], name="order_seller"),
        )

    def __str__(self) -> str:
        return self.id


class PartnerStatement(TenantModel):
    """What a partner had in a month, in one currency. `tenant` is the partner. Never changed."""

    id = models.CharField(max_length=40, primary_key=True)
    period = models.DateField()  # the month's first day
    currency = models.CharField(max_length=3)
    agreement_id = models.CharField(max_length=40, default="", blank=True)
    lines = models.JSONField()  # see `stating.py`
    sales = amount_field()
    share = amount_field()
    cost = amount_field()
    returns = amount_field()
    minimum = amount_field()
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "partner_statement"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "period", "currency"], name="partner_statement_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.tenant_id} {self.period:%Y-%m}"


class Payout(TenantModel):
    """What was sent to a partner. `tenant` is the partner."""

    id = models.CharField(max_length=40, primary_key=True)
    key = models.CharField(max_length=120)
    payer = models.CharField(max_length=20)
    amount = amount_field()
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=8, choices=PayoutState, default=PayoutState.ORDERED)
    reference = models.CharField(max_length=120, default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())
    paid_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "partner_payout"
        constraints = (models.UniqueConstraint(fields=["tenant", "key"], name="payout_once"),)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"
