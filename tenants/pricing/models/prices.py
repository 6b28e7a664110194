"""Price books and contracts, and what was quoted and charged by them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models.functions import Now

from tenants.kernel.tenancy import TenantModel

ZERO = Decimal(0)


def tenant_or_list() -> models.ForeignKey[Any, Any]:
    """A price's tenant; null: it is the list's."""
    return models.ForeignKey(
        "accounts.Tenant", null=True, on_delete=models.PROTECT, db_index=False, related_name="+"
    )


def money(**options: Any) -> models.DecimalField[Any, Any]:
    """An amount in the ledger's 12 decimals."""
    return models.DecimalField(max_digits=38, decimal_places=12, **options)


class PriceBook(models.Model):
    """A line of price versions in one currency: the list, or one customer's own."""

    id = models.CharField(max_length=40, primary_key=True)
    tenant = tenant_or_list()
    name = models.CharField(max_length=120)
    currency = models.CharField(max_length=3)
    is_list = models.BooleanField(default=False)  # what a tenant without another book pays by
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "price_book"
        constraints = (
            models.UniqueConstraint(
                fields=["is_list"], condition=models.Q(is_list=True), name="price_book_one_list"
            ),
        )

    def __str__(self) -> str:
        return self.name


class PriceBookVersion(models.Model):
    """Prices in force from `valid_from` until the book's next version. Never changed once
    published.
    """

    id = models.CharField(max_length=40, primary_key=True)
    tenant = tenant_or_list()
    book = models.ForeignKey(PriceBook, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    valid_from = models.DateTimeField(null=True)  # null while it is a draft
    published_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=200, default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "price_book_version"
        constraints = (
            models.UniqueConstraint(fields=["book", "number"], name="price_version_number_once"),
            models.UniqueConstraint(fields=["book", "valid_from"], name="price_version_start_once"),
        )

    def __str__(self) -> str:
        return f"{self.book_id} v{self.number}"


class Price(models.Model):
    """One meter's charge model, for counts whose dimensions match."""

    id = models.BigAutoField(primary_key=True)
    tenant = tenant_or_list()
    version = models.ForeignKey(PriceBookVersion, on_delete=models.PROTECT, related_name="prices")
    meter = models.CharField(max_length=60)
    match = models.JSONField(default=dict)  # dimension → value; empty: matches anything
    revenue = models.CharField(max_length=40)  # the ledger's revenue line
    charge = models.JSONField()  # see charge_json

    class Meta:
        db_table = "price"

    def __str__(self) -> str:
        return f"{self.meter} {self.match}"


class Contract(TenantModel):
    """A customer's terms during [starts, ends). Never changed, but for its end: a new one follows.

    Amounts are a month's, in `currency`. Without `book` it is the list's; without `pinned_version`
    the book is followed.
    """

    id = models.CharField(max_length=40, primary_key=True)
    book = models.ForeignKey(PriceBook, null=True, on_delete=models.PROTECT, related_name="+")
    pinned_version = models.ForeignKey(
        PriceBookVersion, null=True, on_delete=models.PROTECT, related_name="+"
    )
    starts = models.DateTimeField()
    ends = models.DateTimeField(null=True)
    currency = models.CharField(max_length=3)
    discount = models.DecimalField(max_digits=7, decimal_places=6, default=ZERO)  # a share of 1
    plan_fee = money(default=ZERO)
    commitment = money(default=ZERO)
    cap = money(null=True)
    allowance = money(default=ZERO)  # credit granted each month
    credit_limit = money(default=ZERO)  # how much may be owed
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "contract"
        indexes = (models.Index(fields=["tenant", "starts"], name="contract_tenant"),)
        constraints = (
            models.UniqueConstraint(
                fields=["tenant"], condition=models.Q(ends__isnull=True), name="contract_one_open"
            ),
            models.CheckConstraint(
                condition=models.Q(discount__gte=0, discount__lte=1), name="contract_discount"
            ),
        )

    def __str__(self) -> str:
        return self.id


class PriceOverride(models.Model):
    """Leave to sell a meter below its floor until `expires_at`; for legal review.

    For one book, or for one tenant's terms.
    """

    id = models.CharField(max_length=40, primary_key=True)
    tenant = tenant_or_list()
    book = models.ForeignKey(PriceBook, null=True, on_delete=models.PROTECT, related_name="+")
    meter = models.CharField(max_length=60)
    reason = models.CharField(max_length=500)
    granted_by = models.CharField(max_length=40)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "price_override"
        indexes = (models.Index(fields=["meter", "expires_at"], name="price_override_meter"),)

    def __str__(self) -> str:
        return f"{self.meter} until {self.expires_at:%Y-%m-%d}"


class FxRate(models.Model):
    """One `base` is `rate` `quote` from `valid_from` on. A month uses the rate at its start."""

    id = models.BigAutoField(primary_key=True)
    base = models.CharField(max_length=3)
    quote = models.CharField(max_length=3)
    rate = models.DecimalField(max_digits=30, decimal_places=12)
    valid_from = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "fx_rate"
        constraints = (
            models.UniqueConstraint(fields=["base", "quote", "valid_from"], name="fx_rate_once"),
            models.CheckConstraint(condition=models.Q(rate__gt=0), name="fx_rate_positive"),
        )

    def __str__(self) -> str:
        return f"1 {self.base} = {self.rate} {self.quote}"


class Quote(TenantModel):
    """The price promised before work: amounts net and tax for the low, expected and high case."""

    id = models.CharField(max_length=40, primary_key=True)
    kind = models.CharField(max_length=40)  # of work: "fine_tune"
    fingerprint = models.CharField(max_length=64)  # of the work it was made for
    currency = models.CharField(max_length=3)
    version_id = models.CharField(max_length=40)
    contract_id = models.CharField(max_length=40, default="", blank=True)
    lines = models.JSONField()
    low_net = money()
    low_tax = money()
    expected_net = money()
    expected_tax = money()
    high_net = money()
    high_tax = money()
    seconds = models.JSONField(null=True)  # low, expected, high; strings
    adjustments = models.JSONField(default=list)  # plugin, reason, amount, share; in the nets
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        db_table = "quote"
        indexes = (models.Index(fields=["tenant", "-created_at"], name="quote_tenant"),)

    def __str__(self) -> str:
        return self.id


class Charge(TenantModel):
    """One posting of money for work, under a key that is its for ever. Append-only."""

    id = models.CharField(max_length=40, primary_key=True)
    key = models.CharField(max_length=200)
    request_hash = models.CharField(max_length=64)
    subject_kind = models.CharField(max_length=20)  # job, request, sweep, statement
    subject_id = models.CharField(max_length=120)
    currency = models.CharField(max_length=3)
    occurred_at = models.DateTimeField()
    net = money()
    tax = money()
    allowance = money(default=ZERO)
    promotion = money(default=ZERO)
    paid = money(default=ZERO)
    postpaid = money(default=ZERO)
    transaction_id = models.CharField(max_length=40, default="", blank=True)
    quote_id = models.CharField(max_length=40, default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "charge"
        constraints = (models.UniqueConstraint(fields=["tenant", "key"], name="charge_once"),)
        indexes = (
            models.Index(fields=["tenant", "subject_kind", "subject_id"], name="charge_subject"),
            models.Index(fields=["tenant", "-occurred_at"], name="charge_time"),
            models.Index(
                fields=["quote_id"], name="charge_quote", condition=~models.Q(quote_id="")
            ),
        )

    def __str__(self) -> str:
        return self.key


class ChargeLine(TenantModel):
    """What one count added to a charge. Append-only.

    `kind`: usage, adjustment, quote_cap, waiver, true_up … Sums over a month and price key, kind
    usage, are `PeriodTotal`.
    """

    id = models.BigAutoField(primary_key=True)
    charge = models.ForeignKey(
        Charge, on_delete=models.PROTECT, related_name="lines", db_index=False
    )
    period = models.DateField()  # the month's first day
    day = models.DateField()  # of the event, in UTC
    kind = models.CharField(max_length=20)
    revenue = models.CharField(max_length=40)
    meter = models.CharField(max_length=60, default="", blank=True)
    price_key = models.CharField(max_length=1000, default="", blank=True)
    version_id = models.CharField(max_length=40, default="", blank=True)
    contract_id = models.CharField(max_length=40, default="", blank=True)
    model = models.CharField(max_length=200, default="", blank=True)
    api_key_id = models.CharField(max_length=200, default="", blank=True)
    user_id = models.CharField(max_length=200, default="", blank=True)
    quantity = models.DecimalField(max_digits=38, decimal_places=12)
    net = money()
    currency = models.CharField(max_length=3)

    class Meta(TenantModel.Meta):
        db_table = "charge_line"
        indexes = (
            models.Index(fields=["tenant", "day"], name="charge_line_day"),
            models.Index(fields=["tenant", "period", "kind"], name="charge_line_period"),
            models.Index(fields=["charge"], name="charge_line_charge"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.meter} {self.net}"


class PeriodTotal(TenantModel):
    """What a month has been charged for so far under one price key and rate card."""

    id = models.BigAutoField(primary_key=True)
    period = models.DateField()
    currency = models.CharField(max_length=3)
    price_key = models.CharField(max_length=1000)
    version_id = models.CharField(max_length=40)
    contract_id = models.CharField(max_length=40, default="", blank=True)
    quantity = models.DecimalField(max_digits=38, decimal_places=12)
    amount = money()

    class Meta(TenantModel.Meta):
        db_table = "period_total"
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "period", "currency", "price_key", "version_id", "contract_id"],
                name="period_total_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.price_key} {self.quantity}"
