"""Tax: rates by operators, profiles by tenants, and the effective rate on the wallet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import IntegrityError

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.audit import audit_record
from tenants.billing.events import TaxProfileChanged
from tenants.billing.models import TaxProfile, TaxRate
from tenants.billing.operators import operators_only, system_only
from tenants.billing.selectors.tax import tax_profile, tax_treatment
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput, PermissionDenied
from tenants.kernel.outbox import emit
from tenants.kernel.scope import atomic, system_scope
from tenants.ledger.models import Wallet
from tenants.ledger.services import wallet_change

_LONGEST = {"legal_name": 200, "address": 600, "tax_id": 40}
_OPERATORS = ("reverse_charge", "tax_point")  # what a customer may not decide for itself


@dataclass(frozen=True)
class NewProfile:
    """Who and where a tenant is; None leaves a field as it is."""

    legal_name: str | None = None
    address: str | None = None
    country: str | None = None
    region: str | None = None
    tax_id: str | None = None
    evidence: Sequence[Mapping[str, str]] | None = None
    inclusive: bool | None = None
    language: str | None = None
    reverse_charge: bool | None = None
    tax_point: str | None = None


def tax_rate_set(
    *, actor: Actor, jurisdiction: str, name: str, rate: Decimal, valid_from: dt.datetime
) -> TaxRate:
    """Set a jurisdiction's rate from `valid_from` on (system scope).

    Raises PermissionDenied, InvalidInput, Conflict where it has a rate from then.
    """
    operators_only(actor)
    if not 2 <= len(jurisdiction) <= 40 or not jurisdiction.isprintable():
        raise InvalidInput("a jurisdiction is like DE or US-CA", param="jurisdiction")
    if not isinstance(rate, Decimal) or not rate.is_finite() or not 0 <= rate < 1:
        raise InvalidInput("a tax rate is a Decimal of at least 0 and under 1", param="rate")
    if rate != round(rate, 6) or valid_from.tzinfo is None or not 1 <= len(name) <= 60:
        raise InvalidInput("a tax rate has a name, a moment with a zone, and 6 decimals at most")
    try:
        with atomic():
            row = TaxRate.objects.create(
                jurisdiction=jurisdiction, name=name, rate=rate, valid_from=valid_from
            )
    except IntegrityError as error:
        raise Conflict(f"{jurisdiction} has a rate from then on", param="valid_from") from error
    audit_record(
        actor=actor,
        action="tax_rate.set",
        target=jurisdiction,
        data={"rate": f"{rate:f}", "valid_from": valid_from.isoformat()},
    )
    return row


def tax_profile_set(*, actor: Actor, profile: NewProfile) -> TaxProfile:
    """Write down who and where the actor's tenant is.

    Reverse charge and the tax point are the operator's to decide. The wallet's rate follows by
    `tax_apply`. Raises PermissionDenied, InvalidInput.
    """
    actor.require("billing.write")
    given = {name: value for name, value in vars(profile).items() if value is not None}
    if actor.kind not in {ActorKind.OPERATOR, ActorKind.SYSTEM} and given.keys() & set(_OPERATORS):
        raise PermissionDenied("reverse charge and the tax point are set by the platform")
    _check(given)
    row: TaxProfile
    row, _ = TaxProfile.objects.select_for_update().get_or_create(tenant_id=actor.tenant_id)
    for name, value in given.items():
        setattr(row, name, value)
    row.updated_at = now()
    row.save()
    audit_record(
        actor=actor,
        action="tax_profile.set",
        target=actor.tenant_id,
        data={"fields": sorted(given)},
    )
    emit(TaxProfileChanged(tenant_id=actor.tenant_id, country=row.country, region=row.region))
    return row


def taxes_apply(*, at: dt.datetime | None = None) -> int:
    """The same for every tenant with a profile: rates begin, and wallets are opened. Called outside
    of any scope. Returns how many tenants there were.
    """
    with system_scope():
        owners = list(TaxProfile.objects.order_by("tenant_id").values_list("tenant_id", flat=True))
    for tenant_id in owners:
        with system_scope():
            tax_apply(tenant_id=tenant_id, at=at)
    return len(owners)


def tax_apply(*, tenant_id: str, at: dt.datetime | None = None) -> None:
    """Write the rate that applies to a tenant onto its wallets, where it differs (system scope)."""
    system_only()
    treated = tax_treatment(tax_profile(tenant_id), at=at or now())
    for wallet in Wallet.objects.filter(tenant_id=tenant_id).order_by("currency"):
        if (wallet.tax_rate, wallet.tax_jurisdiction) != (treated.rate, treated.jurisdiction):
            wallet_change(
                tenant_id=tenant_id,
                currency=wallet.currency,
                tax_rate=treated.rate,
                tax_jurisdiction=treated.jurisdiction,
            )


def _check(given: Mapping[str, Any]) -> None:
    for name, longest in _LONGEST.items():
        text = given.get(name, "")
        if len(text) > longest or not text.replace("\n", " ").isprintable():
            raise InvalidInput(f"{name} has at most {longest} printable characters", param=name)
    country, region = given.get("country", ""), given.get("region", "")
    if country and not (len(country) == 2 and country.isascii() and country.isupper()):
        raise InvalidInput("a country is two capital letters (ISO 3166-1)", param="country")
    if region and not (len(region) <= 10 and region.isascii() and region.isalnum()):
        raise InvalidInput("a region is the code after the country's, like CA", param="region")
    if given.get("tax_point", TaxProfile.TaxPoint.CONSUMPTION) not in TaxProfile.TaxPoint.values:
        raise InvalidInput("tax arises at top_up or at consumption", param="tax_point")
    if given.get("language", "en") not in {"en", "zh-hans"}:
        raise InvalidInput("documents are written in en or zh-hans", param="language")
