"""Per token or per million tokens: what prices look like, and the question where that is unclear.

Prices of a token and of a million of them lie six orders of magnitude apart, so a file in the wrong
unit can be told by its numbers. Nothing is converted on a suspicion: the importer asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from tenants.kernel.errors import InvalidInput

MILLION = 1_000_000.0
DEAREST_TOKEN = 1e-3  # as dear as 1,000 a million
CHEAPEST_MILLION = 5e-3


class Unit(StrEnum):
    PER_TOKEN = "per_token"  # noqa: S105 -- a unit, no secret
    PER_MILLION = "per_million"


def looks_like(prices: Iterable[float]) -> Unit | None:
    """What the prices above zero can only be; None where they fit neither, or both are among them.

    Raises ValueError where there is no price above zero: free tiers say nothing of a unit.
    """
    found = [price for price in prices if price > 0]
    if not found:
        raise ValueError("no price above zero")
    if max(found) <= DEAREST_TOKEN:
        return Unit.PER_TOKEN
    if min(found) >= CHEAPEST_MILLION:
        return Unit.PER_MILLION
    return None


def unit_settle(prices: Iterable[float], *, named: Unit, stated: str | None) -> Unit:
    """The unit of a file whose format is `named` so: what the caller `stated`, else that one.

    Raises InvalidInput where nothing was stated and the numbers contradict the format.
    """
    if stated:
        if stated not in set(Unit):
            raise InvalidInput(
                f"{stated[:40]!r} is no unit of a price; known are {', '.join(Unit)}", param="unit"
            )
        return Unit(stated)
    try:
        seen = looks_like(prices)
    except ValueError:
        return named
    if seen is named:
        return named
    if seen is None:
        raise InvalidInput(
            "some prices look like prices of a token and some like prices of a million; give them "
            f"in one unit, and say which: unit={Unit.PER_TOKEN} or unit={Unit.PER_MILLION}",
            param="unit",
            code="ambiguous_unit",
        )
    raise InvalidInput(
        f"this format holds prices {_words(named)}, but these look like prices {_words(seen)}; "
        f"say which they are: unit={Unit.PER_TOKEN} or unit={Unit.PER_MILLION}",
        param="unit",
        code="ambiguous_unit",
    )


def _words(unit: Unit) -> str:
    return unit.value.replace("_", " ")
