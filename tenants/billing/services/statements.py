"""Statements on their way: opened, in grace, approved, final. Every step is safe to repeat."""

from __future__ import annotations

import datetime as dt

import structlog
from django.conf import settings

from tenants.accounts.actors import Actor, system_actor
from tenants.accounts.audit import audit_record
from tenants.accounts.selectors import tenant_is_closed
from tenants.billing.freezing import facts_from_json
from tenants.billing.locks import statement_locked
from tenants.billing.models import Statement
from tenants.billing.operators import operators_only, system_only
from tenants.billing.periods import Period
from tenants.billing.selectors.openings import Opening, statements_missing
from tenants.billing.services.finalising import statement_finalise
from tenants.billing.services.issuing import invoice_draft
from tenants.billing.states import StatementState, require_statement_move
from tenants.kernel.clock import now as clock_now
from tenants.kernel.errors import BreakwaterError, Conflict
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from tenants.pricing.canonical import canonical_json
from tenants.pricing.rating import rate

log = structlog.get_logger(__name__)


def statements_advance(*, now: dt.datetime | None = None, tenant_id: str = "") -> int:
    """Move every statement as far as it is due, each in a transaction of its own, oldest first.

    `tenant_id`: of one tenant only. Called outside of any scope; safe to run twice, and at once.
    One that fails is logged and does not keep the others. Returns how many became final.
    """
    at = now or clock_now()
    with system_scope():
        for opening in statements_missing(at=at, tenant_id=tenant_id):
            statement_open(tenant_id=opening.tenant_id, opening=opening)
    with system_scope():
        rows = Statement.objects.exclude(state=StatementState.FINAL)
        if tenant_id:
            rows = rows.filter(tenant_id=tenant_id)
        waiting = list(rows.order_by("period", "id").values_list("tenant_id", "id"))
    return sum(_advance(owner, statement_id, at) for owner, statement_id in waiting)


def statement_open(*, tenant_id: str, opening: Opening) -> Statement:
    """Make a month's statement where there is none yet."""
    system_only()
    statement: Statement
    statement, _ = Statement.objects.get_or_create(
        tenant_id=tenant_id,
        period=opening.period.month,
        currency=opening.currency,
        defaults={"id": new_id("stmt_"), "approval": settings.STATEMENT_APPROVAL},
    )
    return statement


def statement_approval_require(*, actor: Actor, statement_id: str, required: bool) -> Statement:
    """Ask for, or do without, an operator's approval of a statement that is not final.

    Raises PermissionDenied, NotFound, Conflict.
    """
    operators_only(actor)
    statement = statement_locked(statement_id, of=actor)
    _refuse_final(statement)
    statement.approval = required
    statement.save(update_fields=["approval"])
    audit_record(
        actor=actor,
        action="statement.require_approval",
        target=statement.id,
        data={"required": required},
    )
    return statement


def statement_approve(
    *, actor: Actor, statement_id: str, now: dt.datetime | None = None
) -> Statement:
    """Approve a statement in grace; it becomes final when its grace is over.

    Raises PermissionDenied, NotFound, Conflict.
    """
    operators_only(actor)
    statement = statement_locked(statement_id, of=actor)
    require_statement_move(statement.state, StatementState.FINAL)
    if statement.approved_at is None:
        statement.approved_by, statement.approved_at = actor.id, now or clock_now()
        statement.save(update_fields=["approved_by", "approved_at"])
        audit_record(actor=actor, action="statement.approve", target=statement.id)
    return statement


def statement_rerate(*, actor: Actor, statement_id: str) -> bytes:
    """Rate a final statement again from what was frozen; return the canonical JSON.

    Raises PermissionDenied, NotFound, Conflict where it is not final, or the bytes differ from
    those of its finalisation (then the code, or the row, has changed under it).
    """
    operators_only(actor)
    statement = statement_locked(statement_id, of=actor)
    if statement.state != StatementState.FINAL:
        raise Conflict("only a final statement is rated again", code="statement_not_final")
    text = canonical_json(rate(facts_from_json(statement.facts)))
    if text != statement.rated.encode():
        raise Conflict(
            f"rating {statement_id} again gives another result than at its finalisation",
            code="statement_rerating_differs",
        )
    audit_record(actor=actor, action="statement.rerate", target=statement.id)
    return text


def statements_close(*, tenant_id: str, now: dt.datetime | None = None) -> int:
    """State all that a closed tenant has used, at once and without grace (system scope).

    Returns how many statements became final; one that needs approval waits for it.
    """
    system_only()
    at = now or clock_now()
    for opening in statements_missing(at=at, tenant_id=tenant_id):
        statement_open(tenant_id=tenant_id, opening=opening)
    rows = Statement.objects.filter(tenant_id=tenant_id).exclude(state=StatementState.FINAL)
    ids = list(rows.order_by("period", "id").values_list("id", flat=True))
    for statement_id in ids:
        _enter_grace(tenant_id, statement_id, at)
    return sum(_finish(tenant_id, statement_id, at) for statement_id in ids)


def _advance(tenant_id: str, statement_id: str, at: dt.datetime) -> bool:
    """Into grace, and then, in a transaction of its own, on to final."""
    try:
        with system_scope():
            _enter_grace(tenant_id, statement_id, at)
        with system_scope():
            return _finish(tenant_id, statement_id, at)
    except BreakwaterError as error:
        log.warning("statement waits", statement_id=statement_id, reason=error.message)
        return False


def _enter_grace(tenant_id: str, statement_id: str, at: dt.datetime) -> None:
    """The month is over, or the tenant is."""
    statement = statement_locked(statement_id, of=system_actor(tenant_id))
    ended = Period(statement.period).end
    if statement.state == StatementState.OPEN and (at >= ended or tenant_is_closed(tenant_id)):
        statement.state = StatementState.GRACE
        statement.closed_at = min(at, ended)
        statement.save(update_fields=["state", "closed_at"])
        invoice_draft(tenant_id=tenant_id, statement=statement)


def _finish(tenant_id: str, statement_id: str, at: dt.datetime) -> bool:
    """Finalise where grace is over and nobody's approval is waited for. Returns whether it was."""
    actor = system_actor(tenant_id)
    statement = statement_locked(statement_id, of=actor)
    if statement.state != StatementState.GRACE or statement.closed_at is None:
        return False
    if statement.approval and statement.approved_at is None:
        return False
    days = 0 if tenant_is_closed(tenant_id) else settings.STATEMENT_GRACE_DAYS
    if at < statement.closed_at + dt.timedelta(days=days):
        return False
    statement_finalise(actor=actor, statement_id=statement.id, now=at)
    return True


def _refuse_final(statement: Statement) -> None:
    if statement.state == StatementState.FINAL:
        raise Conflict("this statement is final", code="statement_final")
