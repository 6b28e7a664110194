"""Facts about prices and contracts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tenants.kernel.events import Event


@dataclass(frozen=True)
class PriceChanged(Event, name="price.changed", aggregate="book_id"):
    """A price book's version was published; its prices hold from `valid_from` on."""

    book_id: str
    version_id: str
    number: int
    valid_from: datetime


@dataclass(frozen=True)
class PriceOverridden(Event, name="price.overridden", aggregate="override_id"):
    """An operator gave leave to sell a meter below its measured cost until `expires_at`."""

    override_id: str
    meter: str
    reason: str
    expires_at: datetime


@dataclass(frozen=True)
class ContractChanged(Event, name="contract.changed", aggregate="tenant_id"):
    """A customer's terms changed from `starts` on; `contract_id` null: back to the list."""

    contract_id: str | None
    starts: datetime


@dataclass(frozen=True)
class FxRateSet(Event, name="fx_rate.set", aggregate="pair"):
    """An exchange rate holds for the months that begin at `valid_from` or later."""

    pair: str
    rate: str
    valid_from: datetime
