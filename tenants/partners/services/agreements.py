"""Writes of agreements and sellers, by operators. System scope."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict, NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.locks import AdvisoryLock, advisory_lock
from tenants.kernel.outbox import emit
from tenants.partners.events import AgreementChanged
from tenants.partners.models import Agreement, Seller
from tenants.partners.permissions import partner_get, staff_only
from tenants.partners.terms import terms_from_json, terms_to_json


def agreement_write(
    *,
    actor: Actor,
    partner_id: str,
    terms: Mapping[str, Any],
    revenues: Sequence[str] = (),
    starts: dt.datetime | None = None,
    note: str = "",
) -> Agreement:
    """Write a partner's next version of its terms, in force from `starts` (now); the former ends
    then at the latest: a sale is shared once.

    `revenues`: the revenue lines that may be shared. Raises PermissionDenied, NotFound,
    InvalidInput, Conflict for a start before the version in force.
    """
    staff_only(actor)
    partner_get(partner_id)
    checked = terms_to_json(terms_from_json(terms, revenues=revenues))
    advisory_lock(AdvisoryLock.PARTNER, partner_id)
    begins = starts or database_now()
    former = Agreement.objects.filter(tenant_id=partner_id).order_by("-number").first()
    if former is not None and (former.ends is None or former.ends > begins):
        if begins <= former.starts:
            raise Conflict(
                f"version {former.number} starts {former.starts:%Y-%m-%d %H:%M}; the next one "
                "starts after it",
                param="starts",
                code="agreement_order",
            )
        former.ends = begins
        former.save(update_fields=["ends"])
    row: Agreement = Agreement.objects.create(
        id=new_id("agr_"),
        tenant_id=partner_id,
        number=former.number + 1 if former else 1,
        terms=checked,
        note=note,
        starts=begins,
    )
    audit_record(actor=actor, action="agreement.write", target=row.id, data={"number": row.number})
    emit(AgreementChanged(partner_id, agreement_id=row.id, number=row.number))
    return row


def agreement_end(*, actor: Actor, partner_id: str, ends: dt.datetime | None = None) -> Agreement:
    """End a partner's terms: what is sold from `ends` (now) on is not shared. Raises NotFound."""
    staff_only(actor)
    advisory_lock(AdvisoryLock.PARTNER, partner_id)
    row: Agreement | None = Agreement.objects.filter(
        tenant_id=partner_id, ends__isnull=True
    ).first()
    if row is None:
        raise NotFound(f"{partner_id} has no agreement in force", param="partner_id")
    row.ends = max(ends or database_now(), row.starts)
    row.save(update_fields=["ends"])
    audit_record(actor=actor, action="agreement.end", target=row.id)
    emit(AgreementChanged(partner_id, agreement_id=row.id, number=row.number))
    return row


def seller_claim(*, tenant_id: str, name: str) -> Seller:
    """Give a name to sell under to a partner, for ever (system scope). Raises Conflict."""
    row, _ = Seller.objects.get_or_create(name=name, defaults={"partner_id": tenant_id})
    if row.partner_id != tenant_id:
        raise Conflict(
            f"the name {name.partition(':')[2]!r} is another partner's; choose another one",
            param="name",
            code="name_taken",
        )
    return row
