"""Which price applies to a count: the most specific match of its meter and dimensions. Pure.

A price key names a price across versions of its book: `tokens.input`, or
`tokens.input?base=breakwater-mini-1`. What was used under one key in a month counts on when a new
version takes over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote, unquote

from tenants.kernel.errors import InvalidInput
from tenants.usage.meters import METERS, meter_named

# What a price may depend on. Few values each, so that usage can be summed by them.
PRICED_DIMENSIONS = frozenset(
    {"model", "base", "endpoint", "method", "batch", "plugin", "service", "sku"}
)

Match = tuple[tuple[str, str], ...]  # sorted (dimension, value) pairs


def match_of(dimensions: Mapping[str, str]) -> Match:
    return tuple(sorted(dimensions.items()))


def price_key(meter: str, match: Match) -> str:
    """One text for one price: meter, then its match in alphabetical order."""
    if not match:
        return meter
    return meter + "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in match)


def match_in(key: str) -> dict[str, str]:
    """The match that a price key tells."""
    pairs = (pair.partition("=") for pair in key.partition("?")[2].split("&"))
    return {name: unquote(value) for name, _, value in pairs if name}


def matches(match: Match, dimensions: Mapping[str, str]) -> bool:
    return all(dimensions.get(name) == value for name, value in match)


def match_check(meter: str, match: Match) -> None:
    """Raises InvalidInput for an unknown meter, or a dimension that no price of it can name."""
    allowed = meter_named(meter).dimensions & PRICED_DIMENSIONS
    for name, value in match:
        if name not in allowed:
            known = ", ".join(sorted(allowed)) or "none"
            raise InvalidInput(
                f"a price of {meter} may depend on {known}, not on {name}",
                param="match",
                code="invalid_price",
            )
        if not isinstance(value, str) or not 1 <= len(value) <= 200 or not value.isprintable():
            raise InvalidInput(f"match.{name} is 1 to 200 printable characters", param="match")


def coverage_check(prices: Sequence[tuple[str, Match]]) -> None:
    """Every meter has a price that asks nothing; no count finds two equally specific prices.

    Raises InvalidInput(code="price_gap" or "price_overlap").
    """
    unpriced = sorted(METERS.keys() - {meter for meter, match in prices if not match})
    if unpriced:
        raise InvalidInput(
            f"without a price (one that matches anything): {', '.join(unpriced)}; a meter that is "
            "free has a price of 0",
            param="prices",
            code="price_gap",
        )
    for meter in METERS:
        for first, second in _ambiguous([match for name, match in prices if name == meter]):
            raise InvalidInput(
                f"{price_key(meter, first)} and {price_key(meter, second)} are equally specific, "
                "and one count may match both; make one of them more specific",
                param="prices",
                code="price_overlap",
            )


def _ambiguous(found: Sequence[Match]) -> Iterable[tuple[Match, Match]]:
    """Pairs of one length that no dimension tells apart."""
    for number, first in enumerate(found):
        for second in found[number + 1 :]:
            if len(first) == len(second) and not _disjoint(dict(first), dict(second)):
                yield first, second


def _disjoint(first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    return any(first[name] != second[name] for name in first.keys() & second.keys())
