"""Prices, contracts, quotes and charges; floors, and what may go below them.

List prices (books without a tenant) can be read by everyone; nobody but the system writes prices,
contracts, overrides or exchange rates. Charges are kept for ever.
"""

from tenants.pricing.models.floors import (
    FloorFinding,
    FloorPolicy,
    LossBudget,
    PriceProposal,
    SaleDay,
)
from tenants.pricing.models.prices import (
    Charge,
    ChargeLine,
    Contract,
    FxRate,
    PeriodTotal,
    Price,
    PriceBook,
    PriceBookVersion,
    PriceOverride,
    Quote,
)

__all__ = [
    "Charge",
    "ChargeLine",
    "Contract",
    "FloorFinding",
    "FloorPolicy",
    "FxRate",
    "LossBudget",
    "PeriodTotal",
    "Price",
    "PriceBook",
    "PriceBookVersion",
    "PriceOverride",
    "PriceProposal",
    "Quote",
    "SaleDay",
]
