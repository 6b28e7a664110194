"""Builders for tests about prices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tenants.pricing.cards import (
    CardPrice,
    ContractTerms,
    PriceList,
    RateCard,
    Terms,
    month_bounds,
)
from tenants.pricing.charge_json import model_from_json
from tenants.pricing.charge_models import ChargeModel
from tenants.pricing.matching import match_of, price_key

D = Decimal
MARCH = dt.date(2026, 3, 1)
SINCE, UNTIL = month_bounds(MARCH)


def model(name: str, **fields: Any) -> ChargeModel:
    """A charge model, from its JSON."""
    made = model_from_json({"model": name, **fields})
    assert isinstance(made, ChargeModel)
    return made


def tiers(*steps: tuple[str | None, str]) -> list[dict[str, str | None]]:
    return [{"up_to": up_to, "unit": unit} for up_to, unit in steps]


def card_price(
    meter: str, priced: ChargeModel, match: Mapping[str, str] | None = None, revenue: str = "tokens"
) -> CardPrice:
    whole = match_of(match or {})
    return CardPrice(price_key(meter, whole), meter, whole, revenue, priced)


def card(
    *prices: CardPrice,
    version: str = "v1",
    contract: str = "",
    currency: str = "USD",
    discount: str = "0",
    fx: str = "1",
    starts: dt.datetime = SINCE,
    ends: dt.datetime | None = UNTIL,
) -> RateCard:
    return RateCard(
        tenant_id="ten_1",
        currency=currency,
        version_id=version,
        contract_id=contract,
        discount=D(discount),
        fx_rate=D(fx),
        starts=starts,
        ends=ends,
        prices=PriceList(prices),
    )


def terms(*cards: RateCard, contracts: tuple[ContractTerms, ...] = ()) -> Terms:
    return Terms("ten_1", MARCH, cards, contracts)


def contract_terms(contract_id: str = "c1", **fields: Any) -> ContractTerms:
    whole: dict[str, Any] = {
        "contract_id": contract_id,
        "currency": "USD",
        "starts": SINCE,
        "ends": None,
        "plan_fee": D(0),
        "commitment": D(0),
        "cap": None,
    }
    return ContractTerms(**whole | fields)
