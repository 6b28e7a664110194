"""The market page: the price index, how fast prices fall, where we stand, what rivals did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.readonly import Section
from saas.operations.lists.market import ALERT_COLUMNS, MOVE_COLUMNS
from tenants.costs.defaults import CURRENCY
from tenants.market.moves import History, month_start
from tenants.market.position import Position, positions
from tenants.market.selectors import alerts, market_history, moves
from tenants.market.trends.decline import Decline, Interval, decline
from tenants.market.trends.index import ALL, PriceIndex, classes_of, price_index

SHOWN = 15


def market(request: HttpRequest) -> HttpResponse:
    from saas.operations.site import operations

    history, places = market_history(), positions()
    names = (ALL, *classes_of(history))
    return operations.page(
        request,
        "operations/market.html",
        title=_("Market"),
        until=history.end,
        index=index_chart([price_index(history, name) for name in names]),
        trends=Section(_("How fast prices fall"), _TRENDS, trends(history, names)),
        position_chart=position_chart(places) if places else None,
        positions=Section(_("Our place"), _POSITIONS, places),
        alerts=Section(_("Alerts"), ALERT_COLUMNS, list(alerts().filter(seen_at=None)[:SHOWN])),
        moves=Section(_("Latest moves"), MOVE_COLUMNS, list(moves()[:SHOWN])),
    )


def trends(history: History, names: Sequence[str]) -> list[Decline]:
    return [found for name in names if (found := decline(history, name)) is not None]


def index_chart(found: Sequence[PriceIndex]) -> dict[str, Any]:
    """A line for each class over the months of all; before its first month a class has none."""
    first, last = min(i.months[0] for i in found), max(i.months[-1] for i in found)
    months = range(first, last + 1)
    return {
        "labels": [f"{month_start(month):%Y-%m}" for month in months],
        "unit": str(_("Index")),
        "datasets": [
            {
                "label": index.model_class or str(_("All")),
                "data": [_level(index, month) for month in months],
                "line": True,
            }
            for index in found
        ],
    }


def position_chart(found: Sequence[Position]) -> dict[str, Any]:
    """Four bars for each offer of ours: floor, price, the cheapest rival and the median."""
    series = (
        (_("Our floor"), [place.own.floor for place in found]),
        (_("Our price"), [place.own.price for place in found]),
        (_("Cheapest rival"), [place.cheapest for place in found]),
        (_("Rivals' median"), [place.median for place in found]),
    )
    return {
        "labels": [f"{place.own.base} · {place.own.model_class}" for place in found],
        "unit": CURRENCY,
        "apart": True,
        "datasets": [
            {"label": str(label), "data": [None if v is None else float(v) for v in values]}
            for label, values in series
        ],
    }


def _level(index: PriceIndex, month: int) -> float | None:
    place = month - index.months[0]
    return index.level[place] if 0 <= place < len(index.level) else None


def _interval(form: str) -> Any:
    def shown(found: Interval) -> str:
        def one(value: float) -> str:
            return str(_("never")) if math.isinf(value) else form.format(value)

        if found.low is None or found.high is None:
            return one(found.value)
        return f"{one(found.value)} ({one(found.low)} – {one(found.high)})"

    return shown


_money = partial(show.money, currency=CURRENCY)


_TRENDS = (
    show.column(lambda row: row.model_class or _("All"), _("Class")),
    show.number("products", _("Products")),
    show.number("moves", _("Months with a move")),
    show.right(show.derived("yearly", _("A year less (80%)"), _interval("{:.0%}"))),
    show.right(show.derived("halving_months", _("Halves in months (80%)"), _interval("{:.0f}"))),
)
_POSITIONS = (
    show.text("own.base", _("Base model")),
    show.text("own.model_class", _("Class")),
    _money("own.price", _("Our price")),
    _money("own.floor", _("Our floor")),
    _money("cheapest", _("Cheapest rival")),
    _money("median", _("Rivals' median")),
    show.number("rank", _("Our rank")),
    show.percent("gap", _("Above the cheapest")),
    show.column(
        lambda row: ", ".join(str(one.product) for one in row.below_floor), _("Below our floor")
    ),
)
