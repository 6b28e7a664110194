"""Facts about the market."""

from __future__ import annotations

from dataclasses import dataclass

from tenants.kernel.events import Event


@dataclass(frozen=True)
class MarketImported(Event, name="market.imported", aggregate="import_id"):
    """A file of rivals' prices was read; `added` of its moves were new."""

    import_id: str
    added: int


@dataclass(frozen=True)
class RivalMoved(Event, name="market.rival_moved", aggregate="product_id"):
    """A rival's price moved lately, in the class of an offer of ours; `level` says how near it is:
    below_floor, below_price, moved.
    """

    product_id: str
    alert_id: str
    provider: str
    model: str
    kind: str
    base: str
    level: str
