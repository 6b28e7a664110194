"""Tax: rates that the operator sets, and what a tenant says about itself."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from tenants.kernel.tenancy import TenantModel


class TaxRate(models.Model):
    """The rate of a jurisdiction ("DE", "US-CA") from `valid_from` until the next one's.

    Set by the operator; ships empty: which taxes apply is for the company's advisers to say.
    """

    id = models.BigAutoField(primary_key=True)
    jurisdiction = models.CharField(max_length=40)
    name = models.CharField(max_length=60)  # as documents show it: "VAT", "MwSt."
    rate = models.DecimalField(max_digits=9, decimal_places=6)  # 0.19 = 19%
    valid_from = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "tax_rate"
        constraints = (
            models.UniqueConstraint(fields=["jurisdiction", "valid_from"], name="tax_rate_once"),
            models.CheckConstraint(
                condition=models.Q(rate__gte=0) & models.Q(rate__lt=1), name="tax_rate_share"
            ),
        )

    def __str__(self) -> str:
        return f"{self.jurisdiction} {self.rate} from {self.valid_from:%Y-%m-%d}"


class TaxProfile(TenantModel):
    """Who and where a tenant is, as invoices state it, and where its tax arises."""

    class TaxPoint(models.TextChoices):
        TOP_UP = "top_up"  # prepaid credit is taxed when bought, and not again when used
        CONSUMPTION = "consumption"

    id = models.BigAutoField(primary_key=True)
    legal_name = models.CharField(max_length=200, default="", blank=True)
    address = models.TextField(max_length=600, default="", blank=True)
    country = models.CharField(max_length=2, default="", blank=True)  # ISO 3166-1 alpha-2
    region = models.CharField(max_length=10, default="", blank=True)  # "CA" in "US-CA"
    tax_id = models.CharField(max_length=40, default="", blank=True)
    evidence = models.JSONField(default=list)  # of the location: [{"kind", "value", "at"}]
    inclusive = models.BooleanField(default=False)  # a top-up's amount holds its tax
    reverse_charge = models.BooleanField(default=False)
    tax_point = models.CharField(max_length=16, choices=TaxPoint, default=TaxPoint.CONSUMPTION)
    language = models.CharField(max_length=10, default="en")  # of documents
    updated_at = models.DateTimeField(db_default=Now())

    class Meta(TenantModel.Meta):
        db_table = "tax_profile"
        constraints = (models.UniqueConstraint(fields=["tenant"], name="tax_profile_once"),)

    def __str__(self) -> str:
        return f"{self.country or 'nowhere'} {self.tax_id}"

    @property
    def jurisdiction(self) -> str:
        """Like "DE" or "US-CA"; empty where nothing is known."""
        return f"{self.country}-{self.region}" if self.region else self.country
