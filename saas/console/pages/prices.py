"""The organisation's prices, meter by meter, as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.money_words import REVENUE_LINES
from saas.console.price_words import price_said
from saas.console.readonly import Section
from saas.console.words import METERS
from saas.currencies import book_currency
from tenants.kernel.clock import now
from tenants.pricing.cards import CardPrice, RateCard
from tenants.pricing.charge_json import model_to_json
from tenants.pricing.selectors import rate_card


def prices(request: HttpRequest) -> HttpResponse:
    from saas.console.site import console

    card = rate_card(actor_of(request).tenant_id, now())
    return console.page(
        request,
        "console/prices.html",
        title=_("Prices"),
        intro=_intro(card),
        sections=[
            Section("", _columns(book_currency(card.version_id)), by_revenue(card.prices.prices))
        ],
    )


def by_revenue(found: Sequence[CardPrice]) -> list[CardPrice]:
    """In the order of lines of revenue, general prices before special ones."""
    order = list(REVENUE_LINES)
    return sorted(found, key=lambda p: (order.index(p.revenue), p.meter, len(p.match), p.key))


def _intro(card: RateCard) -> str:
    said = [gettext("Your contract's prices.") if card.contract_id else gettext("List prices.")]
    if card.discount:
        share = show.as_percent(card.discount)
        said.append(gettext("Every price is reduced by %(share)s.") % {"share": share})
    if card.fx_rate != 1:
        rate = show.as_number(card.fx_rate)
        said.append(
            gettext("Amounts are multiplied by %(rate)s into your currency.") % {"rate": rate}
        )
    said.append(gettext("Before tax."))
    return " ".join(said)


def _columns(currency: str) -> Sequence[show.Cell]:
    return (
        show.word("revenue", _("For"), REVENUE_LINES),
        show.word("meter", _("Meter"), METERS),
        show.column(_only, _("Only where")),
        show.column(lambda price: price_said(model_to_json(price.model), currency), _("Price")),
    )


def _only(price: CardPrice) -> Any:
    return ", ".join(f"{name} = {value}" for name, value in price.match)
