"""Findings: what a person must look at. One open row for each kind and subject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models.functions import Now

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.billing.operators import operators_only, system_only
from tenants.billing.stripe.events import StripeFindingOpened
from tenants.billing.stripe.models import StripeFinding
from tenants.kernel.errors import NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit

OPEN, CLOSED = StripeFinding.State.OPEN, StripeFinding.State.CLOSED


def finding_open(
    *, kind: str, subject: str, action: str, evidence: Mapping[str, Any], tenant_id: str = ""
) -> StripeFinding:
    """Say what was found (system scope); seen again, its evidence is renewed."""
    system_only()
    row: StripeFinding
    row, made = StripeFinding.objects.get_or_create(
        kind=kind,
        subject=subject,
        state=OPEN,
        defaults={
            "id": new_id("find_"),
            "tenant_id": tenant_id,
            "evidence": dict(evidence),
            "action": action,
        },
    )
    if made:
        emit(StripeFindingOpened(tenant_id=None, finding_id=row.id, kind=kind, subject=subject))
    else:
        StripeFinding.objects.filter(pk=row.pk).update(evidence=dict(evidence), last_seen_at=Now())
    return row


def finding_settled(*, kind: str, subject: str = "") -> int:
    """Close what is not found any more (system scope); return how many."""
    system_only()
    rows = StripeFinding.objects.filter(kind=kind, state=OPEN)
    if subject:
        rows = rows.filter(subject=subject)
    return rows.update(state=CLOSED, closed_at=Now())


def finding_close(*, actor: Actor, finding_id: str) -> StripeFinding:
    """An operator has dealt with it. Raises PermissionDenied, NotFound."""
    operators_only(actor)
    row: StripeFinding | None = (
        StripeFinding.objects.select_for_update().filter(pk=finding_id).first()
    )
    if row is None:
        raise NotFound(f"no finding {finding_id!r}", param="finding_id")
    if row.state == OPEN:
        row.state, row.closed_by = CLOSED, actor.id
        row.save(update_fields=["state", "closed_by"])
        StripeFinding.objects.filter(pk=row.pk).update(closed_at=Now())
        audit_record(actor=actor, action="stripe_finding.close", target=row.id)
    return row
