"""Waste findings as rows: one open row for each kind and subject, for as long as it is found.

The finders stand above, in `workers.waste`; here is what becomes of what they say. System scope.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet, Sum
from django.db.models.functions import Now

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.audit import audit_record
from tenants.costs.defaults import CURRENCY
from tenants.costs.events import WasteApplied, WasteClosed, WasteFound, WasteMeasured, WasteUndone
from tenants.costs.models import WasteFinding
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict, NotFound, PermissionDenied
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.outbox import emit
from tenants.kernel.scope import ScopeError, required_scope

State = WasteFinding.State


@dataclass(frozen=True)
class Leak:
    """What a finder said of a subject, and the version of what its action relies on.

    `saving` is by its action alone, `beside` beyond the other actions: these sum up.
    """

    kind: str
    subject: str
    saving: Decimal
    beside: Decimal
    action: str
    version: str
    arguments: Mapping[str, Any]
    evidence: Mapping[str, Any]
    tenant_id: str = ""


def findings_open(*, kinds: Collection[str], leaks: Sequence[Leak]) -> int:
    """Write what a sweep over `kinds` found: new ones open, known ones are renewed, and those that
    are not found any more close. Returns how many are new.
    """
    _system_only()
    known = {
        (row.kind, row.subject): row
        for row in WasteFinding.objects.select_for_update().filter(state=State.OPEN, kind__in=kinds)
    }
    new = [leak for leak in leaks if (leak.kind, leak.subject) not in known]
    for leak in leaks:
        if row := known.pop((leak.kind, leak.subject), None):
            _renew(row, leak)
    _open(new)
    for row in known.values():
        _close(row, by="")
    return len(new)


def findings_visible() -> QuerySet[WasteFinding]:
    rows: QuerySet[WasteFinding] = WasteFinding.objects.order_by("-saving", "id")
    return rows


def finding_locked(*, actor: Actor, finding_id: str) -> WasteFinding:
    """The finding with its row locked, for an operator. Raises PermissionDenied, NotFound."""
    _system_only()
    if actor.kind not in {ActorKind.OPERATOR, ActorKind.SYSTEM}:
        raise PermissionDenied("only the platform's operators act on waste")
    actor.require("jobs.write")
    rows = WasteFinding.objects.select_for_update().filter(pk=finding_id)
    row: WasteFinding | None = rows.first()
    if row is None:
        raise NotFound(f"no finding {finding_id!r}", param="finding_id")
    return row


def finding_applied(
    *, actor: Actor, row: WasteFinding, undo: Mapping[str, Any] | None, undo_s: float
) -> None:
    """Its action was done, in this transaction."""
    moment = database_now()
    row.state, row.applied_by, row.applied_at = State.APPLIED, actor.id, moment
    row.undo = None if undo is None else dict(undo)
    row.undo_until = None if undo is None else moment + dt.timedelta(seconds=undo_s)
    row.save(update_fields=["state", "applied_by", "applied_at", "undo", "undo_until"])
    _recorded(actor, row, "waste.apply")
    emit(WasteApplied(tenant_id=None, finding_id=row.id, kind=row.kind, action=row.action))


def finding_undone(*, actor: Actor, row: WasteFinding) -> None:
    """Its action was taken back, in this transaction."""
    row.state, row.undo = State.UNDONE, None
    row.save(update_fields=["state", "undo"])
    _recorded(actor, row, "waste.undo")
    emit(WasteUndone(tenant_id=None, finding_id=row.id, kind=row.kind, action=row.action))


def finding_close(*, actor: Actor, finding_id: str) -> WasteFinding:
    """It is meant to be so: not shown any more, until it is found anew.

    Raises PermissionDenied, NotFound, Conflict for one that is not open.
    """
    row = finding_locked(actor=actor, finding_id=finding_id)
    if row.state != State.OPEN:
        raise Conflict(f"the finding {row.id} is {row.state}", code="finding_not_open")
    _close(row, by=actor.id)
    _recorded(actor, row, "waste.close")
    return row


def finding_measured(*, row: WasteFinding, before: Decimal, after: Decimal) -> None:
    """What its subject cost a month before and after the action."""
    first = row.measured_at is None
    row.before, row.after = before, after
    row.measured_at = database_now()
    row.save(update_fields=["before", "after", "measured_at"])
    if first:
        emit(
            WasteMeasured(
                tenant_id=None,
                finding_id=row.id,
                kind=row.kind,
                promised=row.saving,
                measured=before - after,
                currency=row.currency,
            )
        )


def waste_joint() -> Money:
    """What all open findings together would save a month, by the newest sweep."""
    total = WasteFinding.objects.filter(state=State.OPEN).aggregate(all=Sum("beside"))["all"]
    return Money(total or Decimal(0), CURRENCY)


def _open(leaks: Sequence[Leak]) -> None:
    rows = [
        WasteFinding(
            id=new_id("waste_"),
            kind=leak.kind,
            subject=leak.subject,
            tenant_id=leak.tenant_id,
            saving=leak.saving,
            beside=leak.beside,
            currency=CURRENCY,
            action=leak.action,
            arguments=dict(leak.arguments),
            evidence=dict(leak.evidence),
            version=leak.version,
        )
        for leak in leaks
    ]
    WasteFinding.objects.bulk_create(rows)
    emit(
        *(
            WasteFound(
                tenant_id=None,
                finding_id=row.id,
                kind=row.kind,
                subject=row.subject,
                saving=row.saving,
                currency=row.currency,
            )
            for row in rows
        )
    )


def _renew(row: WasteFinding, leak: Leak) -> None:
    WasteFinding.objects.filter(pk=row.pk).update(
        saving=leak.saving,
        beside=leak.beside,
        action=leak.action,
        arguments=dict(leak.arguments),
        evidence=dict(leak.evidence),
        version=leak.version,
        last_seen_at=Now(),
    )


def _close(row: WasteFinding, *, by: str) -> None:
    row.state, row.closed_by, row.closed_at = State.CLOSED, by, database_now()
    row.save(update_fields=["state", "closed_by", "closed_at"])
    emit(WasteClosed(tenant_id=None, finding_id=row.id, kind=row.kind))


def _recorded(actor: Actor, row: WasteFinding, action: str) -> None:
    data = {"kind": row.kind, "subject": row.subject, "saving": f"{row.saving:f}"}
    audit_record(actor=actor, action=action, target=row.id, data=data)


def _system_only() -> None:
    scope = required_scope()
    if scope.tenant_id is not None:
        raise ScopeError(f"waste is the platform's own; {scope} neither reads nor writes it")
