"""Services of the catalogue, and orders of them, as customer and as seller."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import BooleanField, Case, Value, When
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.filters import choice_filter
from saas.console.market_words import BILLINGS, ORDER_STATES
from saas.console.readonly import Act, ReadOnlyAdmin
from tenants.marketplace.models import Order
from tenants.marketplace.services import orders


def _quantity(label: Any) -> forms.DecimalField:
    return forms.DecimalField(
        label=label, min_value=Decimal("0.000001"), max_digits=15, decimal_places=6
    )


class OrderForm(forms.Form):
    quantity = _quantity(_("How many hours, months or pieces"))
    wish = forms.CharField(label=_("What it is for"), required=False, widget=forms.Textarea)


class PriceForm(forms.Form):
    price = _quantity(_("Price of one"))


class DeliveryForm(forms.Form):
    quantity = forms.DecimalField(
        label=_("How much was delivered"),
        min_value=Decimal(0),
        max_digits=15,
        decimal_places=6,
        required=False,
        help_text=_("Of an order in milestones, the next one is delivered whole."),
    )
    note = forms.CharField(label=_("Delivery note"), max_length=2000, widget=forms.Textarea)


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Why"), max_length=2000)


class RatingForm(forms.Form):
    stars = forms.IntegerField(label=_("Stars, 1 to 5"), min_value=1, max_value=5)


def _place(request: HttpRequest, service_id: str, **fields: Any) -> Any:
    return orders.order_place(actor=actor_of(request), service_id=service_id, **fields)


def _act(service: Any) -> Any:
    def run(request: HttpRequest, order_id: str, **fields: Any) -> Any:
        return service(actor=actor_of(request), order_id=order_id, **fields)

    return run


def _deliver(request: HttpRequest, order_id: str, *, quantity: Decimal | None, note: str) -> Any:
    return orders.order_deliver(
        actor=actor_of(request), order_id=order_id, quantity=quantity or Decimal(0), note=note
    )


class ServiceAdmin(ReadOnlyAdmin):
    reads = "orders.read"
    title = _("Services")
    intro = _("Support, training and consulting, by us and by partners.")
    empty = _("No services are on offer yet.")
    ordering = ("title",)
    list_display = (
        show.text("title", _("Service"), sort=True),
        show.word("billing", _("Billed"), BILLINGS),
        show.amount("price", _("Price of one")),
        show.number("ratings", _("Ratings")),
    )
    search_fields = ("title", "description")
    details = (*list_display, show.text("description", _("Description")), show.code("id", _("Id")))
    acts = (
        Act(
            name="order",
            label=_("Order"),
            permission="orders.write",
            run=_place,
            done=_("The order is placed. Its seller answers next."),
            form=OrderForm,
            initial=lambda _row: {"quantity": "1"},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(withdrawn_at__isnull=True)


def _bought(*states: str) -> Any:
    return lambda row: not row.selling and row.state in states


def _sold(*states: str) -> Any:
    return lambda row: row.selling and row.state in states


class OrderAdmin(ReadOnlyAdmin):
    reads = "orders.read"
    title = _("Orders")
    intro = _("What you ordered, and what was ordered of you.")
    empty = _("No orders yet.")
    list_display = (
        show.text("service.title", _("Service")),
        show.column(lambda row: row.customer_name if row.selling else None, _("For")),
        show.badge("state", _("State"), ORDER_STATES),
        show.number("quantity", _("Quantity")),
        show.amount("price", _("Price of one")),
        show.moment("created_at", _("Created")),
    )
    list_select_related = ("service",)
    list_filter = (choice_filter("state", _("State"), ORDER_STATES),)
    details = (
        show.code("id", _("Id")),
        *list_display,
        show.text("wish", _("What it is for")),
        show.number("delivered", _("Delivered, not yet confirmed")),
        show.number("confirmed", _("Confirmed and charged")),
        show.text("note", _("Delivery note")),
        show.number("rating", _("Stars, 1 to 5")),
    )
    acts = (
        Act("agree", _("Agree"), "orders.write", _act(orders.order_agree),
            _("The price is agreed, and set aside."), _bought("quoted")),
        Act("confirm", _("Confirm"), "orders.write", _act(orders.order_confirm),
            _("The delivery is confirmed and charged."), _bought("delivered")),
        Act("reject", _("Reject"), "orders.write", _act(orders.order_reject),
            _("The delivery is rejected; its seller reads why."), _bought("delivered"),
            form=ReasonForm),
        Act("rate", _("Rate"), "orders.write", _act(orders.order_rate),
            _("Thank you."), lambda row: _bought("confirmed")(row) and row.rating is None,
            form=RatingForm),
        Act("cancel", _("Cancel"), "orders.write", _act(orders.order_cancel),
            _("The order is cancelled."), _bought("ordered", "quoted", "accepted"), danger=True,
            confirm=_("Cancel this order?")),
        Act("quote", _("Quote"), "partner.write", _act(orders.order_quote),
            _("The customer reads your price."),
            lambda row: _sold("ordered")(row) and row.price is None, form=PriceForm),
        Act("accept", _("Accept"), "partner.write", _act(orders.order_accept),
            _("The order is accepted."),
            lambda row: _sold("ordered")(row) and row.price is not None),
        Act("decline", _("Decline"), "partner.write", _act(orders.order_decline),
            _("The order is declined."), _sold("ordered", "quoted"), danger=True,
            form=ReasonForm),
        Act("deliver", _("Deliver"), "partner.write", _deliver,
            _("The customer is asked to confirm."), _sold("accepted"), form=DeliveryForm),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> Any:
        """Both sides' orders; `selling` says which side one is on."""
        mine = When(seller_id=actor_of(request).tenant_id, then=Value(value=True))
        side = Case(mine, default=Value(value=False), output_field=BooleanField())
        return super().get_queryset(request).annotate(selling=side)

    def heading(self, row: Order) -> str:
        return row.service.title
