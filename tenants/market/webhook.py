"""The operator's webhook for alerts: where it is, and what it is told."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from tenants.kernel.webhooks import Endpoint
from tenants.market.models import MarketAlert
from tenants.pricing.exact import plain


def endpoint() -> Endpoint | None:
    """Where alerts go, as the settings say; None: nowhere."""
    if not settings.ALERT_WEBHOOK_URL:
        return None
    return Endpoint(
        settings.ALERT_WEBHOOK_URL,
        settings.ALERT_WEBHOOK_SECRET,
        private=settings.ALERT_WEBHOOK_PRIVATE,
    )


def alert_data(alert: MarketAlert) -> dict[str, Any]:
    """What a receiver is told; amounts as text, of a million tokens."""
    move = alert.move
    amounts = {name: getattr(alert, name) for name in ("theirs", "ours", "floor")}
    return {
        "id": alert.id,
        "level": alert.level,
        "provider": move.product.provider,
        "model": move.product.model,
        "model_class": move.product.model_class,
        "kind": move.kind,
        "date": move.date.isoformat(),
        "base": alert.base,
        "currency": alert.currency,
        **{name: None if value is None else plain(value) for name, value in amounts.items()},
    }
