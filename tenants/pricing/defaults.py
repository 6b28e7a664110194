"""The list's first prices, in USD: a starting point for the first run, until an operator publishes
others. Every meter is priced; what is free has a price of 0.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CURRENCY = "USD"
LIST_BOOK = "book_list"
FIRST_VERSION = "bookv_list_1"
SINCE = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)  # before any work


@dataclass(frozen=True)
class DefaultPrice:
    meter: str
    revenue: str
    charge: Mapping[str, Any]
    match: Mapping[str, str] = field(default_factory=dict)


def _million(usd: str) -> dict[str, str]:
    """So much for a million tokens."""
    return {"model": "standard", "unit": usd, "per": "1000000"}


FREE = {"model": "standard", "unit": "0"}
# an order's price is agreed on between its parties, and counted in the book's currency
AGREED = DefaultPrice(
    "service.units", "services", {"model": "standard", "unit": "1"}, {"sku": "agreed"}
)
PRICES = (
    DefaultPrice("tokens.input", "tokens", _million("0.60")),
    DefaultPrice("tokens.cached", "tokens", _million("0.15")),
    DefaultPrice("tokens.output", "tokens", _million("1.80")),
    DefaultPrice("tokens.embedded", "tokens", _million("0.08")),
    DefaultPrice("tokens.trained", "training", _million("4.00")),
    DefaultPrice("tokens.evaluated", "evaluation", _million("0.60")),
    DefaultPrice("requests", "tokens", FREE),
    # 0.10 USD for a GB and a month of 730 hours
    DefaultPrice("storage.gb_hours", "storage", {"model": "standard", "unit": "0.000136986301"}),
    DefaultPrice("deployment.hours", "deployments", FREE),
    DefaultPrice("slot.seconds", "services", FREE),
    DefaultPrice("plugin.units", "plugins", FREE),  # until a plugin's price is published
    DefaultPrice("service.units", "services", FREE),
    AGREED,
)
