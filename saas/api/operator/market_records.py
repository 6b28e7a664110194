"""What is known of rivals, for staff: products, moves, files, our offers' classes, alerts."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.operator.costs import table, table_of
from saas.api.operator.market import TAG, decimal_text
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.accounts.actors import Actor
from tenants.market import selectors
from tenants.market.importing.units import Unit
from tenants.market.models import (
    AlertDelivery,
    MarketAlert,
    MarketImport,
    MarketMove,
    MarketOffer,
    MarketProduct,
)
from tenants.market.services import (
    alert_resend,
    alert_see,
    moves_import,
    offer_set,
    price_list_import,
    product_classify,
)
from workers.assets.selectors import base_model_get

READ, WRITE = "billing.read", "billing.write"
LARGEST_FILE = 8_000_000  # characters
MOST_MOVES = 1000


class ProductsQuery(PageQuery):
    model_class = serializers.CharField(required=False, max_length=40, allow_blank=True)


class MovesQuery(serializers.Serializer[Any]):
    model_class = serializers.CharField(required=False, max_length=40)
    provider = serializers.CharField(required=False, max_length=80)


class ProductOut(serializers.Serializer[MarketProduct]):
    id = serializers.CharField()
    object = Constant("market.product")
    provider = serializers.CharField()
    model = serializers.CharField()
    model_class = serializers.CharField(help_text="Empty: not compared yet.")
    currency = serializers.CharField()
    input = decimal_text()
    output = decimal_text()
    cached = decimal_text()
    priced_on = serializers.DateField()
    promotion_until = serializers.DateField(allow_null=True)


class MoveOut(serializers.Serializer[MarketMove]):
    object = Constant("market.move")
    date = serializers.DateField()
    product_id = serializers.CharField()
    provider = serializers.CharField(source="product.provider")
    model = serializers.CharField(source="product.model")
    kind = serializers.CharField()
    currency = serializers.CharField()
    input_before = decimal_text()
    output_before = decimal_text()
    input_after = decimal_text()
    output_after = decimal_text()
    until = serializers.DateField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment]
    confidence = serializers.CharField()


class ImportOut(serializers.Serializer[MarketImport]):
    id = serializers.CharField()
    object = Constant("market.import")
    format = serializers.CharField()
    name = serializers.CharField()
    observed_on = serializers.DateField()
    added = serializers.IntegerField()
    known = serializers.IntegerField()
    skipped = serializers.IntegerField()
    created_at = UnixTime()


class ImportIn(serializers.Serializer[Any]):
    format = serializers.ChoiceField(MarketImport.Format.choices)
    content = serializers.CharField(max_length=LARGEST_FILE, trim_whitespace=False)
    name = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    unit = serializers.ChoiceField(
        [unit.value for unit in Unit],
        required=False,
        default="",
        help_text="Of its prices, where they are of another than the format's.",
    )
    observed_on = serializers.DateField(
        required=False, default=None, help_text="Of a price list: the day it held. Default: today."
    )
    providers = serializers.ListField(
        child=serializers.CharField(max_length=80),
        required=False,
        default=list,
        max_length=200,
        help_text="Of a price list: whom to read. Default: those that are known.",
    )


class ClassIn(serializers.Serializer[Any]):
    model_class = serializers.CharField(
        max_length=40, allow_blank=True, help_text="Empty: compared with nothing."
    )


class OfferOut(serializers.Serializer[MarketOffer]):
    object = Constant("market.offer")
    base = serializers.CharField()
    model_class = serializers.CharField()


class AlertDeliveryOut(serializers.Serializer[AlertDelivery]):
    """On its way to the operator's webhook."""

    state = serializers.ChoiceField(AlertDelivery.State.values, help_text="`dead`: given up.")
    tries = serializers.IntegerField()
    last_error = serializers.CharField()
    delivered_at = UnixTime(allow_null=True)


class AlertOut(serializers.Serializer[MarketAlert]):
    id = serializers.CharField()
    object = Constant("market.alert")
    level = serializers.CharField()
    base = serializers.CharField()
    provider = serializers.CharField(source="move.product.provider")
    model = serializers.CharField(source="move.product.model")
    kind = serializers.CharField(source="move.kind")
    date = serializers.DateField(source="move.date")
    theirs = decimal_text()
    ours = decimal_text()
    floor = decimal_text()
    currency = serializers.CharField()
    created_at = UnixTime()
    seen_at = UnixTime(allow_null=True)
    delivery = AlertDeliveryOut(allow_null=True, help_text="Null: no webhook was configured.")


def render_product(row: MarketProduct) -> dict[str, Any]:
    return ProductOut(row).data


def render_move(row: MarketMove) -> dict[str, Any]:
    return MoveOut(row).data


def render_import(row: MarketImport) -> dict[str, Any]:
    return ImportOut(row).data


def render_alert(row: MarketAlert) -> dict[str, Any]:
    return AlertOut(row).data


class MarketProductsView(ApiView):
    @operation(
        "List rivals' products",
        tag=TAG,
        needs=READ,
        answer=list_of(ProductOut),
        query=ProductsQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(ProductsQuery)
        rows = selectors.products()
        if "model_class" in query:
            rows = rows.filter(model_class=query["model_class"])
        return Response(page(rows, query, render_product))


class MarketProductView(ApiView):
    @operation(
        "Say what a product competes with",
        tag=TAG,
        needs=WRITE,
        answer=ProductOut,
        body=ClassIn,
    )
    def post(self, request: Request, product_id: str) -> Response:  # noqa: ARG002
        sent = self.body(ClassIn)
        return Response(
            render_product(product_classify(actor=self.actor, product_id=product_id, **sent))
        )


class MarketMovesView(ApiView):
    @operation(
        "List moves of rivals' prices, the latest first",
        tag=TAG,
        needs=READ,
        answer=table_of(MoveOut, "MarketMoveList"),
        query=MovesQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(MovesQuery)
        rows = selectors.moves().filter(**{f"product__{k}": v for k, v in query.items()})
        return table(render_move(row) for row in rows[:MOST_MOVES])


class MarketImportsView(ApiView):
    @operation(
        "List files of rivals' prices", tag=TAG, needs=READ, answer=list_of(ImportOut),
        query=PageQuery,
    )  # fmt: skip
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(selectors.imports(), self.query(PageQuery), render_import))

    @operation(
        "Import a file of rivals' prices",
        tag=TAG,
        needs=WRITE,
        answer=ImportOut,
        status=201,
        body=ImportIn,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        return Response(render_import(import_file(self.actor, self.body(ImportIn))), status=201)


def import_file(actor: Actor, sent: dict[str, Any]) -> MarketImport:
    shared = {"actor": actor, "text": sent["content"], "unit": sent["unit"], "name": sent["name"]}
    if sent["format"] == MarketImport.Format.MOVES:
        return moves_import(**shared)
    return price_list_import(**shared, observed_on=sent["observed_on"], providers=sent["providers"])


class MarketOffersView(ApiView):
    @operation(
        "List our offers and their classes",
        tag=TAG,
        needs=READ,
        answer=table_of(OfferOut, "MarketOfferList"),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return table(OfferOut(row).data for row in selectors.offers())


class MarketOfferView(ApiView):
    @operation(
        "Say which class an offer of ours is in",
        tag=TAG,
        needs=WRITE,
        answer=OfferOut,
        body=ClassIn,
    )
    def put(self, request: Request, base: str) -> Response:  # noqa: ARG002
        known = base_model_get(base)
        offer = offer_set(actor=self.actor, base=known.id, **self.body(ClassIn))
        return Response(OfferOut(offer).data)


class MarketAlertsView(ApiView):
    @operation(
        "List alerts on rivals' moves", tag=TAG, needs=READ, answer=list_of(AlertOut),
        query=PageQuery,
    )  # fmt: skip
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(selectors.alerts(), self.query(PageQuery), render_alert))


class MarketAlertSeeView(ApiView):
    @operation("Take note of an alert", tag=TAG, needs=WRITE, answer=AlertOut)
    def post(self, request: Request, alert_id: str) -> Response:  # noqa: ARG002
        return Response(render_alert(alert_see(actor=self.actor, alert_id=alert_id)))


class MarketAlertResendView(ApiView):
    @operation("Send a given-up alert again", tag=TAG, needs=WRITE, answer=AlertOut, conflicts=True)
    def post(self, request: Request, alert_id: str) -> Response:  # noqa: ARG002
        row = alert_resend(actor=self.actor, alert_id=alert_id)
        return Response(render_alert(row.alert))
