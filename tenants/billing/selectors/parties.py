"""Who issues documents, and to whom: as they are now, to be kept with the document."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from tenants.accounts.models import Tenant
from tenants.billing.documents.view import Party
from tenants.billing.models import TaxProfile


def seller() -> dict[str, Any]:
    """The company, from the settings."""
    return {
        "name": settings.COMPANY_NAME,
        "address": _lines(settings.COMPANY_ADDRESS, "|"),
        "tax_id": settings.COMPANY_TAX_ID,
        "email": settings.COMPANY_EMAIL,
    }


def customer(profile: TaxProfile) -> dict[str, Any]:
    """The tenant, from its tax profile."""
    name = Tenant.objects.values_list("name", flat=True).get(pk=profile.tenant_id)
    place = [profile.country] if profile.country else []
    return {
        "name": profile.legal_name or name,
        "address": [*_lines(profile.address, "\n"), *place],
        "tax_id": profile.tax_id,
        "language": profile.language,
        "email": "",
    }


def party_of(data: dict[str, Any]) -> Party:
    """A party as it was kept with a document."""
    return Party(
        name=data.get("name", ""),
        address=tuple(data.get("address", ())),
        tax_id=data.get("tax_id", ""),
        email=data.get("email", ""),
    )


def _lines(text: str, separator: str) -> list[str]:
    return [line.strip() for line in text.split(separator) if line.strip()]
