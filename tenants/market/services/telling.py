"""The operator's webhook: each alert is told once it has committed, again until it is accepted.

A row waits for each alert from when the outbox hands the event on; it is taken for a minute, so
that another process leaves it alone. A receiver knows a message that came twice by `webhook-id`.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import structlog
from django.db.models.functions import Now

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.scope import atomic, system_scope
from tenants.kernel.webhooks import Endpoint, NotDelivered, webhook_send
from tenants.market.events import RivalMoved
from tenants.market.models import AlertDelivery
from tenants.market.permissions import operators_only
from tenants.market.webhook import alert_data, endpoint

log = structlog.get_logger(__name__)

ROUND_S = 20.0  # of calls, before other short work has its turn
TAKEN = dt.timedelta(minutes=1)
# After each failure; then it is given up. As Standard Webhooks suggests.
DELAYS = tuple(
    dt.timedelta(seconds=seconds)
    for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
State = AlertDelivery.State


def alert_tell(*, alert_id: str) -> bool:
    """Have an alert told, once this transaction commits (system scope); whether it will be."""
    if endpoint() is None:
        return False
    AlertDelivery.objects.get_or_create(alert_id=alert_id)
    return True


def alert_resend(*, actor: Actor, alert_id: str) -> AlertDelivery:
    """Tell an alert that was given up after all. Raises PermissionDenied, NotFound, Conflict."""
    operators_only(actor)
    with atomic():
        rows = AlertDelivery.objects.select_for_update().filter(alert_id=alert_id)
        row: AlertDelivery | None = rows.first()
        if row is None:
            raise NotFound(f"{alert_id!r} was never to be told", param="alert_id")
        if row.state != State.DEAD:
            raise Conflict(f"{alert_id} is {row.state}; what was given up is told again")
        row.state, row.tries, row.due_at = State.WAITING, 0, database_now()
        row.save(update_fields=["state", "tries", "due_at"])
        audit_record(actor=actor, action="market.alert_resend", target=alert_id)
    return row


def alerts_send(*, round_s: float = ROUND_S) -> int:
    """Tell what is due, the oldest first; return how many were tried. Outside of any scope."""
    target = endpoint()
    until, count = time.monotonic() + round_s, 0
    while target and time.monotonic() < until and (row := _taken()) is not None:
        _send(row, target)
        count += 1
    return count


def _taken() -> AlertDelivery | None:
    with system_scope():
        due = AlertDelivery.objects.select_for_update(skip_locked=True, of=("self",))
        due = due.filter(state=State.WAITING, due_at__lte=Now())
        row: AlertDelivery | None = (
            due.select_related("alert__move__product").order_by("due_at", "alert_id").first()
        )
        if row is not None:
            row.tries += 1
            row.due_at = Now() + TAKEN
            row.save(update_fields=["tries", "due_at"])
        return row


def _send(row: AlertDelivery, target: Endpoint) -> None:
    alert = row.alert
    try:
        webhook_send(
            target,
            message_id=alert.id,
            kind=RivalMoved.event_type,
            at=alert.created_at,
            data=alert_data(alert),
        )
    except (NotDelivered, InvalidInput) as error:
        _failed(row, error)
        return
    with system_scope():
        AlertDelivery.objects.filter(pk=row.pk).update(
            state=State.DELIVERED, delivered_at=Now(), last_error=""
        )


def _failed(row: AlertDelivery, error: NotDelivered | InvalidInput) -> None:
    log.warning("an alert was not delivered", alert_id=row.alert_id, reason=str(error))
    changed: dict[str, Any] = {"last_error": str(error)[:500]}
    given_up = row.tries > len(DELAYS) or getattr(error, "gone", False)
    if given_up:
        changed["state"] = State.DEAD
    else:
        changed["due_at"] = Now() + DELAYS[row.tries - 1]
    with system_scope():
        mine = AlertDelivery.objects.filter(pk=row.pk, state=State.WAITING, tries=row.tries)
        mine.update(**changed)  # else another has taken it since
