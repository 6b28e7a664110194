"""A period's facts as JSON, whole: rating what was frozen needs no price book any more. Pure.

Of each rate card only the prices that were used are kept.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tenants.pricing.cards import CardPrice, ContractTerms, PriceList, RateCard, Terms
from tenants.pricing.charge_json import model_from_json, model_to_json
from tenants.pricing.charge_models import ChargeModel
from tenants.pricing.rating import Adjustment, KeyTotal, PeriodFacts, TaxFacts

Json = dict[str, Any]


def facts_to_json(facts: PeriodFacts) -> Json:
    """Return all of `facts` in JSON's types; decimals as strings."""
    used = {total.price_key for total in facts.totals}
    return {
        "tenant_id": facts.terms.tenant_id,
        "period": facts.terms.period.isoformat(),
        "currency": facts.currency,
        "algorithm": facts.algorithm,
        "residual": _text(facts.residual),
        "tax": {
            "rate": _text(facts.tax.rate),
            "jurisdiction": facts.tax.jurisdiction,
            "untaxed": _text(facts.tax.untaxed),
        },
        "totals": [
            [t.price_key, t.version_id, t.contract_id, _text(t.quantity)] for t in facts.totals
        ],
        "adjustments": [
            [a.kind, a.revenue, a.contract_id, _text(a.net)] for a in facts.adjustments
        ],
        "cards": [_card(card, used) for card in facts.terms.cards],
        "contracts": [_contract(contract) for contract in facts.terms.contracts],
    }


def facts_from_json(data: Mapping[str, Any]) -> PeriodFacts:
    """Return the facts that `facts_to_json` wrote down."""
    tenant_id = data["tenant_id"]
    tax = data["tax"]
    return PeriodFacts(
        terms=Terms(
            tenant_id=tenant_id,
            period=dt.date.fromisoformat(data["period"]),
            cards=tuple(_card_of(tenant_id, card) for card in data["cards"]),
            contracts=tuple(_contract_of(contract) for contract in data["contracts"]),
        ),
        currency=data["currency"],
        totals=tuple(KeyTotal(key, v, c, Decimal(q)) for key, v, c, q in data["totals"]),
        adjustments=tuple(
            Adjustment(k, r, c, Decimal(net)) for k, r, c, net in data["adjustments"]
        ),
        residual=Decimal(data["residual"]),
        tax=TaxFacts(Decimal(tax["rate"]), tax["jurisdiction"], Decimal(tax["untaxed"])),
        algorithm=data["algorithm"],
    )


def _card(card: RateCard, used: set[str]) -> Json:
    return {
        "currency": card.currency,
        "version_id": card.version_id,
        "contract_id": card.contract_id,
        "discount": _text(card.discount),
        "fx_rate": _text(card.fx_rate),
        "starts": card.starts.isoformat(),
        "ends": card.ends.isoformat() if card.ends else None,
        "prices": [
            {
                "key": price.key,
                "meter": price.meter,
                "match": [list(pair) for pair in price.match],
                "revenue": price.revenue,
                "charge": model_to_json(price.model),
            }
            for price in sorted(card.prices.prices, key=lambda price: price.key)
            if price.key in used
        ],
    }


def _card_of(tenant_id: str, data: Mapping[str, Any]) -> RateCard:
    return RateCard(
        tenant_id=tenant_id,
        currency=data["currency"],
        version_id=data["version_id"],
        contract_id=data["contract_id"],
        discount=Decimal(data["discount"]),
        fx_rate=Decimal(data["fx_rate"]),
        starts=dt.datetime.fromisoformat(data["starts"]),
        ends=dt.datetime.fromisoformat(data["ends"]) if data["ends"] else None,
        prices=PriceList(tuple(_price_of(price) for price in data["prices"])),
    )


def _price_of(data: Mapping[str, Any]) -> CardPrice:
    model = model_from_json(data["charge"])
    if not isinstance(model, ChargeModel):
        raise TypeError("a card's prices hold no matrix")
    match = tuple((name, value) for name, value in data["match"])
    return CardPrice(data["key"], data["meter"], match, data["revenue"], model)


def _contract(terms: ContractTerms) -> Json:
    return {
        "contract_id": terms.contract_id,
        "currency": terms.currency,
        "starts": terms.starts.isoformat(),
        "ends": terms.ends.isoformat() if terms.ends else None,
        "plan_fee": _text(terms.plan_fee),
        "commitment": _text(terms.commitment),
        "cap": None if terms.cap is None else _text(terms.cap),
    }


def _contract_of(data: Mapping[str, Any]) -> ContractTerms:
    return ContractTerms(
        contract_id=data["contract_id"],
        currency=data["currency"],
        starts=dt.datetime.fromisoformat(data["starts"]),
        ends=dt.datetime.fromisoformat(data["ends"]) if data["ends"] else None,
        plan_fee=Decimal(data["plan_fee"]),
        commitment=Decimal(data["commitment"]),
        cap=None if data["cap"] is None else Decimal(data["cap"]),
    )


def _text(amount: Decimal) -> str:
    return f"{amount:f}"
