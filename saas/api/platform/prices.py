"""What the organisation pays: its rate card, meter by meter."""

from __future__ import annotations

import datetime as dt
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, UnixTime
from saas.api.schema import operation
from saas.api.views import ApiView
from saas.currencies import book_currency
from tenants.kernel.clock import now
from tenants.kernel.errors import InvalidInput, NotFound
from tenants.ledger.chart import RevenueLine
from tenants.pricing.cards import CardPrice, RateCard
from tenants.pricing.charge_json import model_to_json
from tenants.pricing.selectors import rate_card
from tenants.usage.meters import METERS

AHEAD = dt.timedelta(days=366)


class CardPriceOut(serializers.Serializer[Any]):
    key = serializers.CharField(help_text="Names the price on charges and invoice lines.")
    meter = serializers.ChoiceField(sorted(METERS))
    unit = serializers.CharField(help_text="What the meter counts.")
    match = serializers.DictField(
        child=serializers.CharField(), help_text="Dimensions that a count must have; empty: any."
    )
    revenue = serializers.ChoiceField(RevenueLine.values)
    charge = serializers.DictField(
        help_text='The charge model, such as {"model": "standard", "unit": "4", "per": "1000000"}.'
    )


class RateCardOut(serializers.Serializer[Any]):
    object = Constant("rate_card")
    currency = serializers.CharField(help_text="What you are billed in.")
    book_currency = serializers.CharField(help_text="What the prices are written in.")
    version_id = serializers.CharField()
    contract_id = serializers.CharField(help_text="Empty: list prices.")
    discount = Amount(help_text="Off every price; 0.1 is 10%.")
    fx_rate = Amount(help_text="From the price book's currency into yours.")
    starts = UnixTime(help_text="In this month.")
    ends = UnixTime(allow_null=True)
    prices = CardPriceOut(many=True)


class PricesQuery(serializers.Serializer[Any]):
    at = UnixTime(required=False, help_text="At this moment; default: now.")


def render_price(price: CardPrice) -> dict[str, Any]:
    return {
        "key": price.key,
        "meter": price.meter,
        "unit": METERS[price.meter].unit if price.meter in METERS else "",
        "match": dict(price.match),
        "revenue": price.revenue,
        "charge": model_to_json(price.model),
    }


def render(card: RateCard) -> dict[str, Any]:
    names = ("currency", "version_id", "contract_id", "discount", "fx_rate", "starts", "ends")
    prices = [render_price(price) for price in card.prices.prices]
    fields = {name: getattr(card, name) for name in names}
    book = {"book_currency": book_currency(card.version_id)}
    answer: dict[str, Any] = RateCardOut({**fields, **book, "prices": prices}).data
    return answer


def card_at(tenant_id: str, at: dt.datetime) -> RateCard:
    """Raises InvalidInput where no prices are known at that moment."""
    if at > now() + AHEAD:
        raise InvalidInput("prices are known for a year ahead at most", param="at")
    try:
        return rate_card(tenant_id, at)
    except NotFound as error:
        raise InvalidInput("no prices were in force at that moment", param="at") from error


class PricesView(ApiView):
    """Prices of the book, before `discount` and `fx_rate`."""

    @operation(
        "Retrieve the rate card",
        tag="prices",
        needs="usage.read",
        answer=RateCardOut,
        query=PricesQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        at = self.query(PricesQuery).get("at") or now()
        return Response(render(card_at(self.actor.tenant_id, at)))
