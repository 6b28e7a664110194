"""Where the market goes and where we stand in it, for staff."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant
from saas.api.operator.costs import table, table_of
from saas.api.schema import operation
from saas.api.views import ApiView
from tenants.costs.defaults import CURRENCY
from tenants.market.moves import History, month_start
from tenants.market.position import Position, positions
from tenants.market.selectors import market_history
from tenants.market.trends.decline import Interval, decline
from tenants.market.trends.index import ALL, classes_of, price_index

TAG = "operator"
NEEDS = "billing.read"


def decimal_text(help_text: str = "") -> serializers.CharField:
    return serializers.CharField(allow_null=True, help_text=help_text)


class MarketQuery(serializers.Serializer[Any]):
    model_class = serializers.CharField(required=False, default="", max_length=40)


class IntervalOut(serializers.Serializer[Any]):
    """80%; null where too few products say anything, or where it never happens."""

    low = serializers.FloatField(allow_null=True)
    value = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class TrendOut(serializers.Serializer[Any]):
    object = Constant("market.trend")
    model_class = serializers.CharField(help_text="Empty: all.")
    until = serializers.DateField()
    products = serializers.IntegerField()
    moves = serializers.IntegerField(help_text="Months in which a price moved.")
    yearly_decline = IntervalOut()
    halving_months = IntervalOut()
    index = serializers.DictField(
        child=serializers.FloatField(), help_text="By month; 100 in the month before the first."
    )


class PositionRivalOut(serializers.Serializer[Any]):
    product_id = serializers.CharField()
    provider = serializers.CharField()
    model = serializers.CharField()
    price = decimal_text("0: a free tier.")
    missing = serializers.CharField(help_text="Why there is no price.")


class PositionOut(serializers.Serializer[Any]):
    """Prices are blended, three parts input to one of output, of a million tokens."""

    object = Constant("market.position")
    base = serializers.CharField()
    model_class = serializers.CharField()
    currency = serializers.CharField()
    price = decimal_text("Ours, by the list.")
    floor = decimal_text("The lowest that pays the long run; null where nothing was served.")
    cheapest = decimal_text()
    median = decimal_text()
    rank = serializers.IntegerField(allow_null=True, help_text="Ours, 1 the cheapest.")
    gap = decimal_text("By what share we are above the cheapest.")
    below_floor = serializers.ListField(
        child=serializers.CharField(), help_text="Rivals who sell for less than we can."
    )
    rivals = PositionRivalOut(many=True)


def render_trend(history: History, name: str) -> dict[str, Any] | None:
    found = decline(history, name)
    if found is None:
        return None
    index = price_index(history, name)
    months = (f"{month_start(month):%Y-%m}" for month in index.months)
    return {
        "object": "market.trend",
        "model_class": name,
        "until": history.end.isoformat(),
        "products": found.products,
        "moves": found.moves,
        "yearly_decline": _interval(found.yearly),
        "halving_months": _interval(found.halving_months),
        "index": dict(zip(months, index.level, strict=True)),
    }


def render_position(found: Position) -> dict[str, Any]:
    answer: dict[str, Any] = PositionOut(
        {
            "base": found.own.base,
            "model_class": found.own.model_class,
            "currency": CURRENCY,
            "price": found.own.price,
            "floor": found.own.floor,
            "cheapest": found.cheapest,
            "median": found.median,
            "rank": found.rank,
            "gap": None if found.gap is None else found.gap.quantize(Decimal("0.0001")),
            "below_floor": [str(one.product) for one in found.below_floor],
            "rivals": [
                {
                    "product_id": one.product.id,
                    "provider": one.product.provider,
                    "model": one.product.model,
                    "price": one.price,
                    "missing": one.missing,
                }
                for one in found.rivals
            ],
        }
    ).data
    return answer


def _interval(found: Interval) -> dict[str, float | None]:
    def finite(value: float | None) -> float | None:
        return value if value is not None and math.isfinite(value) else None

    return {name: finite(getattr(found, name)) for name in ("low", "value", "high")}


class MarketTrendsView(ApiView):
    @operation(
        "Price index, decline and halving time by class",
        tag=TAG,
        needs=NEEDS,
        answer=table_of(TrendOut, "MarketTrendList"),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        history = market_history()
        rows = (render_trend(history, name) for name in (ALL, *classes_of(history)))
        return table(row for row in rows if row is not None)


class MarketPositionsView(ApiView):
    @operation(
        "Our offers beside the rivals of their class",
        tag=TAG,
        needs=NEEDS,
        answer=table_of(PositionOut, "MarketPositionList"),
        query=MarketQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        found = positions(self.query(MarketQuery)["model_class"])
        return table(render_position(one) for one in found)
