"""Price books, their versions, overrides: drafted and published here, past the price guard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.money_words import REVENUE_LINES
from saas.console.price_words import price_said
from saas.console.readonly import Act, Section
from saas.console.words import METERS, Word
from saas.operations.lists.work import OperatorAdmin
from tenants.pricing.models import Price, PriceBook, PriceBookVersion, PriceOverride
from tenants.pricing.selectors.guarding import ANY_METER
from tenants.pricing.services.books import (
    NewPrice,
    price_version_draft,
    price_version_publish,
)
from tenants.pricing.services.floors import price_override_grant

VERSION_STATES: dict[str, Word] = {"draft": _("Draft"), "published": _("Published")}
FIELDS = ("meter", "match", "revenue", "charge")


def version_link(row: PriceBookVersion) -> Any:
    url = reverse("operations:pricing_pricebookversion_change", args=[row.pk])
    return format_html('<a class="bw-link" href="{}">{}</a>', url, f"v{row.number}")


def _state(row: PriceBookVersion) -> Any:
    return show.as_badge("published" if row.published_at else "draft", VERSION_STATES)


def prices_json(version: PriceBookVersion | None) -> str:
    """A version's prices as the draft form takes them."""
    rows = Price.objects.filter(version=version).order_by("id") if version else []
    values = [{name: getattr(row, name) for name in FIELDS} for row in rows]
    lines = (json.dumps(value, ensure_ascii=False) for value in values)
    return "[\n" + ",\n".join(lines) + "\n]"


class DraftForm(forms.Form):
    prices = forms.CharField(
        label=_("Prices"),
        widget=forms.Textarea(attrs={"rows": 16, "class": "bw-code", "spellcheck": "false"}),
        help_text=_("A JSON list of meter, match, revenue and charge."),
        max_length=1_000_000,
    )
    note = forms.CharField(label=_("Note"), max_length=200, required=False)

    def clean_prices(self) -> list[NewPrice]:
        try:
            return [NewPrice(**row) for row in json.loads(self.cleaned_data["prices"])]
        except (ValueError, TypeError) as error:
            raise forms.ValidationError(str(error)) from error


class PublishForm(forms.Form):
    valid_from = forms.DateTimeField(
        label=_("Holds from (UTC)"),
        required=False,
        help_text=_("Empty: from now on."),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )


class OverrideForm(forms.Form):
    meter = forms.ChoiceField(
        label=_("Meter"), choices=[*METERS.items(), (ANY_METER, _("Every meter"))]
    )
    reason = forms.CharField(label=_("Reason"), min_length=10, max_length=500)
    expires_at = forms.DateTimeField(
        label=_("Until (UTC)"), widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )


def _draft(request: HttpRequest, book_id: str, **fields: Any) -> Any:
    return price_version_draft(actor=actor_of(request), book_id=book_id, **fields)


def _override(request: HttpRequest, book_id: str, **fields: Any) -> Any:
    return price_override_grant(actor=actor_of(request), book_id=book_id, **fields)


def _publish(request: HttpRequest, version_id: str, **fields: Any) -> Any:
    return price_version_publish(actor=actor_of(request), version_id=version_id, **fields)


class PriceBookAdmin(OperatorAdmin):
    title = _("Price books")
    intro = _("Lines of price versions. A tenant pays by its contract's book, else by the list.")
    list_tools = "operations/price_book_tool.html"
    list_display = (
        show.text("name", _("Name"), sort=True),
        show.text("currency", _("Currency")),
        show.column(lambda row: row.tenant.name if row.tenant else None, _("For")),
        show.column(lambda row: _("yes") if row.is_list else None, _("Default")),
        show.moment("created_at", _("Created")),
    )
    list_select_related = ("tenant",)
    search_fields = ("id", "name")
    details = (show.code("id", _("Id")), *list_display)
    acts = (
        Act(
            name="draft",
            label=_("Draft a version"),
            permission="billing.write",
            run=_draft,
            done=_("The version is drafted. It holds nowhere until it is published."),
            form=DraftForm,
            initial=lambda book: {"prices": prices_json(newest(book))},
            note=_("Begins as a copy of the newest version."),
        ),
        Act(
            name="override",
            label=_("Grant an override"),
            permission="billing.write",
            run=_override,
            done=_("The override is granted and on record, flagged for legal review."),
            form=OverrideForm,
            danger=True,
            note=_("Leave to sell a meter below its floor, in this book, for a while."),
        ),
    )

    def sections(self, request: HttpRequest, row: PriceBook) -> Sequence[Section]:
        del request
        versions = PriceBookVersion.objects.filter(book=row).order_by("-number")
        overrides = PriceOverride.objects.filter(book=row).order_by("-id")
        return [
            Section(_("Versions"), _VERSION_COLUMNS, list(versions)),
            Section(_("Overrides"), _OVERRIDE_COLUMNS, list(overrides)),
        ]


def newest(book: PriceBook) -> PriceBookVersion | None:
    found: PriceBookVersion | None = book.versions.order_by("-number").first()
    return found


_VERSION_COLUMNS = (
    show.column(version_link, _("Version")),
    show.column(_state, _("State")),
    show.moment("valid_from", _("Holds from")),
    show.text("note", _("Note")),
)
_OVERRIDE_COLUMNS = (
    show.word("meter", _("Meter"), METERS),
    show.text("reason", _("Reason")),
    show.code("granted_by", _("By")),
    show.moment("created_at", _("Granted")),
    show.moment("expires_at", _("Until")),
)


class PriceVersionAdmin(OperatorAdmin):
    title = _("Price versions")
    list_display = (
        show.column(lambda row: f"{row.book.name} v{row.number}", _("Version")),
        show.column(_state, _("State")),
        show.moment("valid_from", _("Holds from")),
        show.text("note", _("Note")),
        show.moment("created_at", _("Created")),
    )
    list_select_related = ("book",)
    search_fields = ("id", "book__name")
    details = (
        show.code("id", _("Id")),
        show.text("book.name", _("Price book")),
        show.number("number", _("Version")),
        show.column(_state, _("State")),
        show.moment("valid_from", _("Holds from")),
        show.moment("published_at", _("Published")),
        show.text("note", _("Note")),
    )
    acts = (
        Act(
            name="publish",
            label=_("Publish"),
            permission="billing.write",
            run=_publish,
            done=_("The version is published; it never changes again."),
            offered=lambda row: row.published_at is None,
            form=PublishForm,
            note=_("Refused, with the arithmetic, where a price would lie below its floor."),
        ),
    )

    def heading(self, row: PriceBookVersion) -> str:
        return f"{row.book.name} v{row.number}"

    def sections(self, request: HttpRequest, row: PriceBookVersion) -> Sequence[Section]:
        del request
        prices = Price.objects.filter(version=row).select_related("version__book")
        return [Section(_("Prices"), PRICE_COLUMNS, list(prices.order_by("meter", "id")))]


def _said(price: Price) -> str:
    return price_said(price.charge, price.version.book.currency)


def _match(price: Price) -> str:
    return ", ".join(f"{key} = {value}" for key, value in price.match.items())


PRICE_COLUMNS = (
    show.word("meter", _("Meter"), METERS),
    show.column(_match, _("Only where")),
    show.column(_said, _("Price")),
    show.word("revenue", _("Revenue"), REVENUE_LINES),
)
