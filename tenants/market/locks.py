"""One writer at a time on what is known of rivals' products."""

from __future__ import annotations

from tenants.kernel.locks import AdvisoryLock, advisory_lock


def market_locked() -> None:
    """Wait for our turn, and hold it until the scope's transaction ends."""
    advisory_lock(AdvisoryLock.MARKET, "products")
