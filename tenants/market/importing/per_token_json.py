"""The common per-token price list (`model_prices_and_context_window.json`): a snapshot. Pure.

An object of models, each with `litellm_provider`, `mode`, `input_cost_per_token` and
`output_cost_per_token`, in USD a token. https://github.com/BerriAI/litellm
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tenants.kernel.errors import InvalidInput
from tenants.market.importing.units import MILLION, Unit, unit_settle
from tenants.market.moves import Price

CURRENCY = "USD"
TEXT_MODES = frozenset({"chat", "completion", "responses"})
SAMPLE = "sample_spec"  # the list's own documentation of itself
MOST_MODELS = 50_000


@dataclass(frozen=True)
class Listed:
    """One model's price of a million tokens; `cached` is of input that was seen before."""

    provider: str
    model: str
    price: Price
    cached: float | None


@dataclass(frozen=True)
class PriceList:
    """What was read; `skipped` says how many models are of another mode or without a price."""

    listed: tuple[Listed, ...]
    skipped: int


def price_list_read(text: str, *, unit: str | None = None) -> PriceList:
    """Read a price list. `unit` states what its prices are of, where that is not a token.

    Raises InvalidInput: no JSON object, a model that is none, a price that is none; the unit where
    the numbers look like prices of a million and nothing was stated.
    """
    models = _object(text)
    found = [
        _listed(name, facts)
        for name, facts in models.items()
        if name != SAMPLE and _is_text(name, facts)
    ]
    priced = [one for one in found if one.price.is_known]
    if not priced:
        raise InvalidInput("the list has no text model with a price", param="file")
    sides = [p for one in priced for p in (one.price.input, one.price.output) if p is not None]
    settled = unit_settle(sides, named=Unit.PER_TOKEN, stated=unit)
    factor = MILLION if settled is Unit.PER_TOKEN else 1.0
    return PriceList(
        tuple(_scaled(one, factor) for one in priced),
        len([name for name in models if name != SAMPLE]) - len(priced),
    )


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the file is no JSON: {error}", param="file") from error
    if not isinstance(found, dict) or len(found) > MOST_MODELS:
        raise InvalidInput(
            f"the file is one object of at most {MOST_MODELS:,} models", param="file"
        )
    return found


def _refuse(name: str) -> None:
    raise ValueError(f"numbers must be finite, not {name}")


def _is_text(name: str, facts: Any) -> bool:
    if not isinstance(facts, dict):
        raise InvalidInput(f"{name[:60]!r} is no object with prices", param="file")
    return facts.get("mode", "chat") in TEXT_MODES


def _listed(name: str, facts: Mapping[str, Any]) -> Listed:
    provider = facts.get("litellm_provider")
    if not isinstance(provider, str) or not provider:
        raise InvalidInput(f"{name[:60]!r} names no litellm_provider", param="file")
    return Listed(
        provider=provider[:80],
        model=name[:160],
        price=Price(
            _number(name, facts, "input_cost_per_token"),
            _number(name, facts, "output_cost_per_token"),
        ),
        cached=_number(name, facts, "cache_read_input_token_cost"),
    )


def _number(name: str, facts: Mapping[str, Any], field: str) -> float | None:
    value = facts.get(field)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise InvalidInput(f"{name[:60]!r}, {field}: {str(value)[:40]} is no price", param="file")
    return float(value)


def _scaled(one: Listed, factor: float) -> Listed:
    price = Price(*(None if p is None else p * factor for p in (one.price.input, one.price.output)))
    return Listed(
        one.provider, one.model, price, None if one.cached is None else one.cached * factor
    )
