"""A tenant's month in FOCUS: its issued invoices, or what a running month comes to so far.

And, for operators, what the platform itself paid: its cost entries.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db.models import Sum
from django.db.models.functions import TruncDay

from tenants.accounts.models import Tenant
from tenants.billing.documents.view import InvoiceView
from tenants.billing.focus.rows import Account, Row, focus_csv, invoice_rows
from tenants.billing.models import Invoice
from tenants.billing.operators import system_only
from tenants.billing.periods import Period
from tenants.billing.selectors.invoices import invoice_view
from tenants.billing.selectors.upcoming import invoice_upcoming
from tenants.billing.states import InvoiceState
from tenants.costs.models import CostEntry, Rate
from tenants.pricing.selectors import tenant_terms, unit_prices

_BOUGHT = {
    Rate.Kind.SPOT: "Dynamic",
    Rate.Kind.RESERVED: "Committed",
    Rate.Kind.OWNED: "Other",
}
_ISSUED = (InvoiceState.OPEN, InvoiceState.PAID, InvoiceState.UNCOLLECTIBLE)


def focus_rows(*, tenant_id: str, period: Period) -> bytes:
    """Return the CSV of a tenant's charges of a month (the billing view), in the scope in force."""
    return focus_csv(_rows(tenant_id, period))


def _rows(tenant_id: str, period: Period) -> Iterator[Row]:
    account = account_of(tenant_id)
    invoices = Invoice.objects.filter(tenant_id=tenant_id, period=period.month)
    issued = list(invoices.filter(state__in=_ISSUED).order_by("number"))
    for invoice in issued:
        yield from _of_view(invoice_view(invoice), account)
    if not any(invoice.kind == Invoice.Kind.USAGE for invoice in issued):
        for currency in _currencies(tenant_id, period):
            upcoming = invoice_upcoming(tenant_id=tenant_id, currency=currency, now=period.start)
            yield from _of_view(upcoming, account)


def _of_view(view: InvoiceView, account: Account) -> Iterator[Row]:
    return invoice_rows(view, account, unit_prices(line.price_version for line in view.lines))


def _currencies(tenant_id: str, period: Period) -> list[str]:
    """Those of the month's rate cards: a moment inside the month rates it whole."""
    terms = tenant_terms([tenant_id], [period.month])[tenant_id, period.month]
    return sorted({card.currency for card in terms.cards})


def account_of(tenant_id: str) -> Account:
    return Account(tenant_id, Tenant.objects.values_list("name", flat=True).get(pk=tenant_id))


def focus_cost_rows(*, period: Period) -> bytes:
    """Return the CSV of what the platform paid in a month, by day, resource, purpose and tenant.

    System scope: no tenant sees costs.
    """
    system_only()
    return focus_csv(_cost_rows(period))


def _cost_rows(period: Period) -> Iterator[Row]:
    entries = CostEntry.objects.filter(started_at__gte=period.start, started_at__lt=period.end)
    names = (
        "day", "resource_id", "resource__unit", "purpose", "tenant_id", "rate__kind", "currency",
    )  # fmt: skip
    days = entries.annotate(day=TruncDay("started_at")).order_by().values(*names)
    for row in days.annotate(total=Sum("amount"), counted=Sum("quantity")).order_by(*names):
        yield _cost_row(period, row)


def _cost_row(period: Period, row: dict[str, Any]) -> Row:
    amount, us = row["total"], settings.COMPANY_NAME
    return {
        "BilledCost": amount,
        "ContractedCost": amount,
        "EffectiveCost": amount,
        "ListCost": amount,
        "BillingAccountId": "platform",
        "BillingAccountName": us,
        "BillingAccountType": "Platform",
        "BillingCurrency": row["currency"],
        "BillingPeriodStart": period.start,
        "BillingPeriodEnd": period.end,
        "ChargePeriodStart": row["day"],
        "ChargePeriodEnd": row["day"] + dt.timedelta(days=1),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{row['resource_id']}, {row['purpose']}",
        "ChargeFrequency": "Usage-Based",
        "ConsumedQuantity": row["counted"],
        "ConsumedUnit": row["resource__unit"],
        "PricingCategory": _BOUGHT.get(row["rate__kind"], "Standard"),
        "PricingCurrency": row["currency"],
        "PricingQuantity": row["counted"],
        "PricingUnit": row["resource__unit"],
        "InvoiceIssuerName": us,
        "ProviderName": us,
        "PublisherName": us,
        "ServiceProviderName": us,
        "ServiceCategory": "Compute",
        "ServiceName": row["resource_id"],
        "ServiceSubcategory": "Other (Compute)",
        "SkuId": row["resource_id"],
        "SkuMeter": row["purpose"],
        "SubAccountId": row["tenant_id"] or None,
        "SubAccountType": "Organisation" if row["tenant_id"] else None,
        "Tags": {"breakwater/purpose": row["purpose"]},
    }
