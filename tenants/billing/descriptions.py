"""What an invoice line says in words. Pure."""

from __future__ import annotations

import datetime as dt
from urllib.parse import unquote

from tenants.billing.stating import LATE, LineKey
from tenants.pricing.rating import CAP, PLAN_FEE, QUOTE_CAP, TRUE_UP, USAGE, WAIVER
from tenants.usage.meters import METERS

_KINDS = {
    PLAN_FEE: "Plan fee",
    TRUE_UP: "Minimum commitment, amount not used",
    CAP: "Monthly cap, amount above it",
    QUOTE_CAP: "Work that cost more than its quote: kept to the quote",
    WAIVER: "Work that failed by our fault: not charged",
}


def description_of(key: LineKey, *, late: dt.date | None = None) -> str:
    """`tokens.input, breakwater-mini-1: prompt tokens computed afresh`; a late line names its
    month.
    """
    text = _usage(key.price_key) if key.kind == USAGE else _KINDS.get(key.kind, key.kind)
    return f"{text} ({late:%Y-%m}, counted late)" if late else text


def meter_of(price_key: str) -> str:
    return price_key.partition("?")[0]


def unit_of(price_key: str) -> str:
    meter = METERS.get(meter_of(price_key))
    return meter.unit if meter else ""


def kind_of(key: LineKey, *, late: bool) -> str:
    """An invoice line's kind: a late one's stays what it is, but usage that came late."""
    return LATE if late else key.kind


def _usage(price_key: str) -> str:
    name, _, match = price_key.partition("?")
    values = [unquote(pair.partition("=")[2]) for pair in match.split("&") if pair]
    meter = METERS.get(name)
    what = f"{name}: {meter.description}" if meter else name
    return ", ".join([what, *values])
