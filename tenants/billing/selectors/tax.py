"""Which tax applies to a tenant, from its profile and the operator's rates."""

from __future__ import annotations

import datetime as dt

from tenants.billing.models import TaxProfile, TaxRate
from tenants.billing.taxation import Person, Rate, Treatment, treatment


def tax_profile(tenant_id: str) -> TaxProfile:
    """A tenant's profile; an empty one where nothing was ever said."""
    row: TaxProfile | None = TaxProfile.objects.filter(tenant_id=tenant_id).first()
    return row or TaxProfile(tenant_id=tenant_id)


def person_of(profile: TaxProfile) -> Person:
    return Person(
        country=profile.country,
        region=profile.region,
        reverse_charge=profile.reverse_charge,
        tax_point=profile.tax_point,
        inclusive=profile.inclusive,
    )


def tax_treatment(profile: TaxProfile, *, at: dt.datetime) -> Treatment:
    """Return the rate that applies at `at`."""
    rows = TaxRate.objects.filter(jurisdiction__in=[profile.jurisdiction, profile.country])
    rates = [Rate(row.jurisdiction, row.name, row.rate, row.valid_from) for row in rows]
    return treatment(person_of(profile), rates, at=at)
