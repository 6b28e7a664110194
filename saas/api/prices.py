"""What work costs, as jobs and quotes show it: amounts are decimal texts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from saas.api.fields import Amount
from workers.jobs.models import Job


class PriceOut(serializers.Serializer[Any]):
    net = Amount()
    tax = Amount()
    total = Amount()


class EstimateOut(serializers.Serializer[Any]):
    low = Amount()
    expected = Amount()
    high = Amount(help_text="The most that is charged, tax in it; it is set aside.")


class JobPriceOut(serializers.Serializer[Any]):
    """`charge` grows while the job goes on, and is final with it."""

    currency = serializers.CharField()
    quote = serializers.CharField(allow_null=True, help_text="Of POST /v1/quotes, or made for it.")
    estimate = EstimateOut(allow_null=True, help_text="The quote's totals, tax in them.")
    charge = PriceOut()


def price_of(job: Job) -> dict[str, Any] | None:
    """A job's price; None for one that is not charged."""
    if not job.currency:
        return None
    return {
        "currency": job.currency,
        "quote": job.quote_id or None,
        "estimate": job.quoted or None,
        "charge": price(job.charged, job.charged_tax),
    }


def price(net: Decimal, tax: Decimal) -> dict[str, Decimal]:
    return {"net": net, "tax": tax, "total": net + tax}
