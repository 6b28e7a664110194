"""Rivals' products, their moves and files, and the alerts, as staff see them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of, choices_set
from saas.console.filters import choice_filter
from saas.console.market_words import (
    ALERT_LEVELS,
    DELIVERY_STATES,
    MARKET_FORMATS,
    MOVE_KINDS,
)
from saas.console.readonly import Act
from saas.operations.forms import ask_new
from saas.operations.lists.work import OperatorAdmin
from tenants.kernel.errors import InvalidInput
from tenants.market.importing.units import Unit
from tenants.market.models import AlertDelivery, MarketAlert, MarketImport
from tenants.market.services import (
    alert_resend,
    alert_see,
    moves_import,
    offer_set,
    price_list_import,
    product_classify,
)
from workers.assets.models import BaseModel

WRITE = "billing.write"


class ClassForm(forms.Form):
    model_class = forms.CharField(
        label=_("Class"),
        max_length=40,
        required=False,
        help_text=_("Such as frontier or small-cn; empty: compared with nothing."),
    )


class OfferForm(ClassForm):
    base = forms.ChoiceField(label=_("Base model"))
    field_order = ("base", "model_class")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = BaseModel.objects.order_by("id").values_list("id", flat=True)
        choices_set(self, "base", [(name, name) for name in names])


class FileForm(forms.Form):
    format = forms.ChoiceField(label=_("Format"), choices=list(MARKET_FORMATS.items()))
    file = forms.FileField(label=_("File"))
    unit = forms.ChoiceField(
        label=_("Unit of its prices"),
        required=False,
        choices=[
            ("", _("The format's own")),
            (Unit.PER_MILLION.value, _("A million tokens")),
            (Unit.PER_TOKEN.value, _("A token")),
        ],
    )
    observed_on = forms.DateField(
        label=_("The day it held"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("Of a price list; today where it is empty."),
    )
    providers = forms.CharField(
        label=_("Providers"),
        required=False,
        help_text=_("Of a price list, with commas between; those that are known where empty."),
    )


def _classify(request: HttpRequest, product_id: str, *, model_class: str) -> Any:
    return product_classify(actor=actor_of(request), product_id=product_id, model_class=model_class)


def _see(request: HttpRequest, alert_id: str) -> Any:
    return alert_see(actor=actor_of(request), alert_id=alert_id)


def _resend(request: HttpRequest, alert_id: str) -> Any:
    return alert_resend(actor=actor_of(request), alert_id=alert_id)


def _delivery(row: MarketAlert) -> AlertDelivery | None:
    return getattr(row, "delivery", None)


def _webhook(row: MarketAlert) -> Any:
    found = _delivery(row)
    return show.as_badge(found.state, DELIVERY_STATES) if found else ""


def _webhook_error(row: MarketAlert) -> str:
    found = _delivery(row)
    return found.last_error if found else ""


_PRICES = (
    show.amount("input", _("Input")),
    show.amount("output", _("Output")),
)


class MarketProductAdmin(OperatorAdmin):
    title = _("Rivals' products")
    intro = _("What rivals sell, at the price that is known of it. Prices are of a million tokens.")
    ordering = ("model_class", "provider", "model")
    list_tools = "operations/market_tool.html"
    list_display = (
        show.text("provider", _("Provider"), sort=True),
        show.text("model", _("Model"), sort=True),
        show.text("model_class", _("Class"), sort=True),
        *_PRICES,
        show.text("priced_on", _("Since"), sort=True),
        show.text("promotion_until", _("Promotion until")),
    )
    search_fields = ("provider", "model", "model_class")
    details = (show.code("id", _("Id")), *list_display, show.amount("cached", _("Cached input")))
    acts = (
        Act("class", _("Class"), WRITE, _classify, _("The product competes there now."),
            form=ClassForm, initial=lambda row: {"model_class": row.model_class}),
    )  # fmt: skip


def _alert_link(row: Any) -> Any:
    url = reverse("operations:market_marketalert_change", args=[row.pk])
    return format_html('<a class="bw-link" href="{}">{}</a>', url, row.move.product)


ALERT_COLUMNS = (
    show.column(_alert_link, _("Rival")),
    show.badge("level", _("Level"), ALERT_LEVELS),
    show.word("move.kind", _("What happened"), MOVE_KINDS),
    show.text("move.date", _("On")),
    show.text("base", _("Our model")),
    show.amount("theirs", _("Theirs")),
    show.amount("ours", _("Ours")),
    show.amount("floor", _("Our floor")),
)
MOVE_COLUMNS = (
    show.text("date", _("On")),
    show.text("product.provider", _("Provider")),
    show.text("product.model", _("Model")),
    show.text("product.model_class", _("Class")),
    show.word("kind", _("What happened"), MOVE_KINDS),
    show.amount("input_before", _("Input before")),
    show.amount("output_before", _("Output before")),
    show.amount("input_after", _("Input after")),
    show.amount("output_after", _("Output after")),
    show.text("source", _("Source")),
)


class MarketAlertAdmin(OperatorAdmin):
    title = _("Market alerts")
    intro = _("Recent moves of rivals in the class of an offer of ours.")
    ordering = ("-created_at",)
    list_display = (
        *ALERT_COLUMNS,
        show.moment("created_at", _("Told")),
        show.column(_webhook, _("Sent by webhook")),
    )
    list_filter = (choice_filter("level", _("Level"), ALERT_LEVELS),)
    list_select_related = ("move__product", "delivery")
    search_fields = ("base", "move__product__model", "move__product__provider")
    details = (
        *ALERT_COLUMNS,
        show.text("move.source", _("Source")),
        show.moment("created_at", _("Told")),
        show.moment("seen_at", _("Seen")),
        show.text("seen_by", _("By")),
        show.column(_webhook, _("Sent by webhook")),
        show.column(_webhook_error, _("Why it was not delivered")),
    )
    acts = (
        Act("see", _("Seen"), WRITE, _see, _("It is noted that you saw it."),
            lambda row: row.seen_at is None),
        Act("resend", _("Send again"), WRITE, _resend, _("It is sent again."),
            lambda row: getattr(_delivery(row), "state", "") == AlertDelivery.State.DEAD),
    )  # fmt: skip


class MarketImportAdmin(OperatorAdmin):
    title = _("Market files")
    ordering = ("-created_at",)
    list_tools = "operations/market_tool.html"
    list_display = (
        show.text("name", _("File")),
        show.word("format", _("Format"), MARKET_FORMATS),
        show.text("observed_on", _("Speaks until")),
        show.number("added", _("New moves")),
        show.number("known", _("Known")),
        show.number("skipped", _("Left out")),
        show.moment("created_at", _("Read")),
    )
    details = (show.code("id", _("Id")), *list_display, show.text("imported_by", _("By")))


def market_import(request: HttpRequest) -> HttpResponse:
    def run(*, format: str, file: Any, **fields: Any) -> Any:  # noqa: A002 -- the form's field
        return _read(request, format, file, **fields)

    return ask_new(
        request,
        form=FileForm,
        run=run,
        title=_("Import a file"),
        back="market_marketimport_changelist",
        crumb=MarketImportAdmin.title,
    )


def offer_new(request: HttpRequest) -> HttpResponse:
    def run(**fields: Any) -> Any:
        return offer_set(actor=actor_of(request), **fields)

    return ask_new(
        request,
        form=OfferForm,
        run=run,
        title=_("Class of an offer"),
        back="market",
        crumb=_("Market"),
    )


def _read(
    request: HttpRequest, form: str, file: Any, *, unit: str, observed_on: Any, providers: str
) -> Any:
    try:
        text = file.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the file is no UTF-8: {error.reason}", param="file") from error
    shared = {"actor": actor_of(request), "text": text, "unit": unit, "name": file.name}
    if form == MarketImport.Format.MOVES:
        return moves_import(**shared)
    names = [name.strip() for name in providers.split(",") if name.strip()]
    return price_list_import(**shared, observed_on=observed_on, providers=names)
