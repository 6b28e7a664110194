"""Facts about prices and contracts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

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
    """An operator gave leave to sell a meter below its floor until `expires_at`."""

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


@dataclass(frozen=True)
class LossBudgetOpened(Event, name="loss_budget.opened", aggregate="budget_id"):
    """An operator approved a loss of `amount` between floor and short-run cost."""

    budget_id: str
    campaign_id: str
    amount: Decimal
    currency: str
    expires_at: datetime


@dataclass(frozen=True)
class LossBudgetEnded(Event, name="loss_budget.ended", aggregate="budget_id"):
    """It allows no further loss; `why` is spent, volume, expired or closed."""

    budget_id: str
    why: str
    spent: Decimal
    currency: str


@dataclass(frozen=True)
class FloorBreached(Event, name="floor.breached", aggregate="finding_id"):
    """The sweep found a price below its floor that nothing allows (any more)."""

    finding_id: str
    book_id: str
    buyer_id: str
    price_key: str
    effective: Decimal
    floor: Decimal
    currency: str


@dataclass(frozen=True)
class PriceProposalMoved(Event, name="price_proposal.moved", aggregate="proposal_id"):
    """A dated price went on: proposed, approved, active, ended, refused; `why` is set at an end."""

    proposal_id: str
    campaign_id: str
    book_id: str
    price_key: str
    state: str
    why: str
