"""Look for what leaks, do something about it, take it back, and measure what it saved."""

from __future__ import annotations

from decimal import Decimal

from django.db.models import F, Q

from tenants.accounts.actors import Actor
from tenants.costs.models import WasteFinding
from tenants.costs.waste import (
    Leak,
    finding_applied,
    finding_locked,
    finding_measured,
    finding_undone,
    findings_open,
)
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict, NotFound
from tenants.kernel.scope import system_scope
from workers.waste.actions import ACTIONS, version_of
from workers.waste.facts import Terms
from workers.waste.finders import FINDERS
from workers.waste.findings import CENTS, Finding
from workers.waste.measuring import LONGEST, costs_around
from workers.waste.reading import facts_read
from workers.waste.replay import findings_of, savings_beside

State = WasteFinding.State


def waste_sweep() -> int:
    """Find what leaks, by the facts as they are now; return how many findings are new.

    In short transactions: naming a state locks its rows, which requests and heartbeats write too.
    """
    with system_scope():
        facts = facts_read()
    found = findings_of(facts, Terms())
    leaks = [
        _leak(finding, beside)
        for finding, beside in zip(found, savings_beside(facts, found), strict=True)
    ]
    with system_scope():
        return findings_open(kinds=list(FINDERS), leaks=leaks)


def _leak(finding: Finding, beside: Decimal) -> Leak:
    with system_scope():
        version = version_of(finding.action, finding.subject, finding.arguments)
    return Leak(
        kind=finding.kind,
        subject=finding.subject,
        tenant_id=finding.tenant_id,
        saving=finding.saving,
        beside=beside.quantize(CENTS),
        action=finding.action,
        arguments=finding.arguments,
        evidence=finding.evidence,
        version=version,
    )


def waste_apply(*, actor: Actor, finding_id: str) -> WasteFinding:
    """Do what stops the leak (system scope).

    Raises PermissionDenied, NotFound, and Conflict where the finding is not open, what it saw has
    changed since, or its action cannot be done now.
    """
    row = finding_locked(actor=actor, finding_id=finding_id)
    if row.state != State.OPEN:
        raise Conflict(f"the finding {row.id} is {row.state}", code="finding_not_open")
    action = ACTIONS[row.action]
    if version_of(row.action, row.subject, row.arguments) != row.version:
        raise _stale(row)
    try:
        before = action.do(actor, row.subject, row.arguments)
    except NotFound as error:  # what it is about is gone
        raise _stale(row) from error
    finding_applied(
        actor=actor, row=row, undo=before if action.undo else None, undo_s=action.undo_s
    )
    return row


def _stale(row: WasteFinding) -> Conflict:
    return Conflict(
        f"{row.subject} has changed since it was looked at; the next look will say what is true "
        "now",
        code="finding_stale",
    )


def waste_undo(*, actor: Actor, finding_id: str) -> WasteFinding:
    """Take an action back (system scope); what somebody has changed since stays as it is.

    Raises PermissionDenied, NotFound, and Conflict where nothing was done, or it is too late.
    """
    row = finding_locked(actor=actor, finding_id=finding_id)
    undo = ACTIONS[row.action].undo
    if row.state != State.APPLIED or undo is None or row.undo is None:
        raise Conflict(f"nothing of {row.id} can be taken back", code="nothing_to_undo")
    if row.undo_until is not None and database_now() > row.undo_until:
        raise Conflict(
            f"it could be taken back until {row.undo_until.isoformat()}", code="undo_too_late"
        )
    undo(actor, row.undo, row.arguments)
    finding_undone(actor=actor, row=row)
    return row


def waste_measure() -> int:
    """Compare what each applied finding's subject costs now with before; return how many.

    Until the stretch compared has its full length: from then on it says the same.
    """
    measured = 0
    with system_scope():
        rows = WasteFinding.objects.select_for_update().filter(state=State.APPLIED)
        settled = Q(measured_at__gte=F("applied_at") + LONGEST)
        for row in rows.exclude(settled).order_by("id"):
            if (found := costs_around(row)) is not None:
                finding_measured(row=row, before=found.before, after=found.after)
                measured += 1
    return measured
