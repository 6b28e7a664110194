"""Columns that several apps have alike."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import models


def amount_field(**options: Any) -> models.DecimalField[Any, Decimal]:
    """Money to 12 decimals; the currency stands beside it."""
    return models.DecimalField(max_digits=38, decimal_places=12, **options)


def party_field(**options: Any) -> models.ForeignKey[Any, Any]:
    """A tenant that a row names, whose own row it need not be."""
    return models.ForeignKey(
        "accounts.Tenant", on_delete=models.PROTECT, db_index=False, related_name="+", **options
    )
