"""The columns of FOCUS 1.2: their types, and which are never null.

https://github.com/FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec/tree/v1.2/specification/columns
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    DECIMAL = "Decimal"
    STRING = "String"
    DATE_TIME = "Date/Time"
    JSON = "JSON"


@dataclass(frozen=True)
class Column:
    name: str
    kind: Kind = Kind.STRING
    nullable: bool = True


def _never_null(name: str, kind: Kind = Kind.STRING) -> Column:
    return Column(name, kind, nullable=False)


FOCUS_1_2 = (
    Column("AvailabilityZone"),
    _never_null("BilledCost", Kind.DECIMAL),
    _never_null("BillingAccountId"),
    Column("BillingAccountName"),
    _never_null("BillingAccountType"),
    _never_null("BillingCurrency"),
    _never_null("BillingPeriodEnd", Kind.DATE_TIME),
    _never_null("BillingPeriodStart", Kind.DATE_TIME),
    Column("CapacityReservationId"),
    Column("CapacityReservationStatus"),
    _never_null("ChargeCategory"),
    Column("ChargeClass"),
    Column("ChargeDescription"),
    _never_null("ChargeFrequency"),
    _never_null("ChargePeriodEnd", Kind.DATE_TIME),
    _never_null("ChargePeriodStart", Kind.DATE_TIME),
    Column("CommitmentDiscountCategory"),
    Column("CommitmentDiscountId"),
    Column("CommitmentDiscountName"),
    Column("CommitmentDiscountQuantity", Kind.DECIMAL),
    Column("CommitmentDiscountStatus"),
    Column("CommitmentDiscountType"),
    Column("CommitmentDiscountUnit"),
    Column("ConsumedQuantity", Kind.DECIMAL),
    Column("ConsumedUnit"),
    _never_null("ContractedCost", Kind.DECIMAL),
    Column("ContractedUnitPrice", Kind.DECIMAL),
    _never_null("EffectiveCost", Kind.DECIMAL),
    Column("InvoiceId"),
    _never_null("InvoiceIssuerName"),
    _never_null("ListCost", Kind.DECIMAL),
    Column("ListUnitPrice", Kind.DECIMAL),
    Column("PricingCategory"),
    Column("PricingCurrency"),
    Column("PricingCurrencyContractedUnitPrice", Kind.DECIMAL),
    Column("PricingCurrencyEffectiveCost", Kind.DECIMAL),
    Column("PricingCurrencyListUnitPrice", Kind.DECIMAL),
    Column("PricingQuantity", Kind.DECIMAL),
    Column("PricingUnit"),
    _never_null("ProviderName"),
    _never_null("PublisherName"),
    Column("RegionId"),
    Column("RegionName"),
    Column("ResourceId"),
    Column("ResourceName"),
    Column("ResourceType"),
    _never_null("ServiceCategory"),
    _never_null("ServiceName"),
    _never_null("ServiceSubcategory"),
    Column("SkuId"),
    Column("SkuMeter"),
    Column("SkuPriceDetails", Kind.JSON),
    Column("SkuPriceId"),
    Column("SubAccountId"),
    Column("SubAccountName"),
    Column("SubAccountType"),
    Column("Tags", Kind.JSON),
)
# the next version's name for ProviderName, for readers of either
NEXT = (_never_null("ServiceProviderName"),)
COLUMNS = FOCUS_1_2 + NEXT
