"""Taking note of alerts."""

from __future__ import annotations

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.kernel.clock import database_now
from tenants.kernel.errors import NotFound
from tenants.kernel.scope import atomic
from tenants.market.models import MarketAlert
from tenants.market.permissions import operators_only


def alert_see(*, actor: Actor, alert_id: str) -> MarketAlert:
    """Take note of an alert; who did so first stays. Raises PermissionDenied, NotFound."""
    operators_only(actor)
    with atomic():
        alert = MarketAlert.objects.select_for_update().filter(pk=alert_id).first()
        if alert is None:
            raise NotFound(f"no alert {alert_id!r}", param="alert_id")
        if alert.seen_at is None:
            alert.seen_at, alert.seen_by = database_now(), actor.id
            alert.save(update_fields=["seen_at", "seen_by"])
            audit_record(actor=actor, action="market.alert_see", target=alert.id)
    return alert
