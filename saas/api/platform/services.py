"""The catalogue of services, and a customer's orders of them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.marketplace.models import Order, Service
from tenants.marketplace.selectors import order_get, orders_of, services_offered
from tenants.marketplace.services.orders import (
    order_agree,
    order_cancel,
    order_confirm,
    order_place,
    order_rate,
    order_reject,
)
from tenants.marketplace.states import OrderState

TAG = "services"
READ, WRITE = "orders.read", "orders.write"


class ServiceOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("service")
    title = serializers.CharField()
    description = serializers.CharField()
    billing = serializers.ChoiceField(Service.Billing.values)
    price = Amount(allow_null=True, help_text="Of one; null: quoted on request.")
    currency = serializers.CharField()
    rating = Amount(allow_null=True, help_text="Mean of 1 to 5 stars; null: not rated yet.")
    ratings = serializers.IntegerField()


class MilestoneIn(serializers.Serializer[Any]):
    title = serializers.CharField(max_length=120)
    quantity = Amount()


class MilestoneOut(MilestoneIn):
    confirmed = serializers.BooleanField()


class OrderIn(serializers.Serializer[Any]):
    service = serializers.CharField(max_length=40)
    quantity = Amount(required=False, default=Decimal(1), help_text="Hours, months or pieces.")
    wish = serializers.CharField(required=False, default="", allow_blank=True, max_length=2000)
    milestones = MilestoneIn(many=True, required=False, default=list)


class OrderOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("order")
    service = serializers.CharField()
    title = serializers.CharField()
    state = serializers.ChoiceField(OrderState.values)
    quantity = Amount()
    price = Amount(allow_null=True)
    currency = serializers.CharField()
    wish = serializers.CharField()
    milestones = MilestoneOut(many=True)
    delivered = Amount(help_text="Delivered, and not yet confirmed.")
    confirmed = Amount(help_text="Confirmed, and charged.")
    note = serializers.CharField(help_text="The latest delivery note, or why it was rejected.")
    rating = serializers.IntegerField(allow_null=True)
    created_at = UnixTime()
    accepted_at = UnixTime(allow_null=True)
    delivered_at = UnixTime(allow_null=True)
    confirmed_at = UnixTime(allow_null=True)


class OrderReasonIn(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=2000)


class RatingIn(serializers.Serializer[Any]):
    stars = serializers.IntegerField(min_value=1, max_value=5)


def render_service(row: Service) -> dict[str, Any]:
    names = ("id", "title", "description", "billing", "price", "currency", "ratings")
    rating = round(row.stars / row.ratings, 2) if row.ratings else None
    given = {name: getattr(row, name) for name in names}
    answer: dict[str, Any] = ServiceOut(
        {**given, "rating": None if rating is None else str(rating)}
    ).data
    return answer


def render(order: Order) -> dict[str, Any]:
    names = [str(name) for name in OrderOut().fields]
    fields = {name: getattr(order, name) for name in names if hasattr(order, name)}
    more = {"service": order.service_id, "title": order.service.title, "object": "order"}
    answer: dict[str, Any] = OrderOut({**fields, **more}).data
    return answer


def moved(view: ApiView, service: Callable[..., Order], order_id: str, **sent: Any) -> Response:
    order_get(order_id, view.actor.tenant_id)
    return Response(render(service(actor=view.actor, order_id=order_id, **sent)))


class ServicesView(ApiView):
    @operation("List services", tag=TAG, needs=READ, answer=list_of(ServiceOut), query=PageQuery)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(services_offered(), self.query(PageQuery), render_service))


class OrdersView(ApiView):
    @operation("List orders", tag=TAG, needs=READ, answer=list_of(OrderOut), query=PageQuery)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        rows = orders_of(self.actor.tenant_id)
        return Response(page(rows, self.query(PageQuery), render))

    @operation(
        "Order a service",
        tag=TAG,
        needs=WRITE,
        answer=OrderOut,
        status=201,
        body=OrderIn,
        costs=True,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(OrderIn)
        order = order_place(actor=self.actor, service_id=sent.pop("service"), **sent)
        return Response(render(order), status=201)


class OrderView(ApiView):
    @operation("Retrieve an order", tag=TAG, needs=READ, answer=OrderOut)
    def get(self, request: Request, order_id: str) -> Response:  # noqa: ARG002
        return Response(render(order_get(order_id, self.actor.tenant_id)))


class OrderAgreeView(ApiView):
    """To the seller's quote: its amount is set aside."""

    @operation("Agree to an order's quote", tag=TAG, needs=WRITE, answer=OrderOut, costs=True)
    def post(self, request: Request, order_id: str) -> Response:  # noqa: ARG002
        return moved(self, order_agree, order_id)


class OrderConfirmView(ApiView):
    """That it was delivered: it is charged, from what was set aside."""

    @operation("Confirm a delivery", tag=TAG, needs=WRITE, answer=OrderOut)
    def post(self, request: Request, order_id: str) -> Response:  # noqa: ARG002
        return moved(self, order_confirm, order_id)


class OrderRejectView(ApiView):
    @operation("Reject a delivery", tag=TAG, needs=WRITE, answer=OrderOut, body=OrderReasonIn)
    def post(self, request: Request, order_id: str) -> Response:  # noqa: ARG002
        return moved(self, order_reject, order_id, **self.body(OrderReasonIn))


class OrderCancelView(ApiView):
    @operation("Cancel an order", tag=TAG, needs=WRITE, answer=OrderOut)
    def post(self, request: Request, order_id: str) -> Response:  # noqa: ARG002
        return moved(self, order_cancel, order_id)


class OrderRateView(ApiView):
    @operation("Rate an order", tag=TAG, needs=WRITE, answer=OrderOut, body=RatingIn)
    def post(self, request: Request, order_id: str) -> Response:  # noqa: ARG002
        return moved(self, order_rate, order_id, **self.body(RatingIn))
