"""Prices beside their floors by model, what lies below, and what was lost by it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of, ask
from saas.console.readonly import Section
from saas.console.words import METERS
from saas.operations.costs import since_midnight
from saas.operations.words import BASES
from tenants.accounts.models import Tenant
from tenants.costs.defaults import CURRENCY
from tenants.pricing.exact import plain
from tenants.pricing.floors import FloorTerms, Takes
from tenants.pricing.models import PriceBook
from tenants.pricing.selectors import prices_standing
from tenants.pricing.selectors.guarding import Standing, floor_terms
from tenants.pricing.selectors.sold import loss_report
from tenants.pricing.services import floor_policy_set

DAYS = 30  # that losses are shown of
SHOWN = 200  # prices, and losses


def floors(request: HttpRequest) -> HttpResponse:
    from saas.operations.site import operations

    standing = prices_standing()
    names = _names()
    lost = loss_report(since=since_midnight(DAYS))
    terms = floor_terms()
    return operations.page(
        request,
        "operations/floors.html",
        title=_("Floors"),
        figures=[
            (_("Prices below their floor"), _count(standing, allowed=False), _("not allowed")),
            (_("Allowed below"), _count(standing, allowed=True), _("by override or loss budget")),
            (
                _("Lost in 30 days"),
                show.as_cents(sum((row.loss for row in lost), Decimal(0)), CURRENCY),
                _("against today's floors"),
            ),
        ],
        policy=_("Floors are told by: %(basis)s, at %(share)s planned utilisation.")
        % {
            "basis": BASES[terms.basis],
            "share": show.as_percent(terms.planned_utilisation),
        },
        chart=floors_chart(standing),
        prices=Section(_("Prices beside their floors"), _columns(names), _worst(standing)),
        losses=Section(_("Sold below floor in 30 days"), _loss_columns(names), lost[:SHOWN]),
    )


def floors_chart(standing: Sequence[Standing]) -> dict[str, Any]:
    """For each model and meter the lowest price that anybody pays, its floor and its stop."""
    lowest: dict[tuple[str, str], Standing] = {}
    for each in standing:
        place = (each.price.base, each.price.meter)
        if place not in lowest or each.price.effective < lowest[place].price.effective:
            lowest[place] = each
    rows = [each.price for _place, each in sorted(lowest.items())]
    series: list[tuple[Any, list[Decimal]]] = [
        (_("Lowest price"), [row.effective for row in rows]),
        (_("Floor"), [row.floor for row in rows]),
        (_("Short-run cost"), [row.stop for row in rows]),
    ]
    return {
        "labels": [f"{row.base} · {METERS.get(row.meter, row.meter)}" for row in rows],
        "unit": CURRENCY,
        "apart": True,
        "datasets": [
            {"label": str(label), "data": [float(value) for value in values]}
            for label, values in series
        ],
    }


class PolicyForm(forms.Form):
    """Shares in percent."""

    basis = forms.ChoiceField(label=_("Basis"), choices=list(BASES.items()))
    planned_utilisation = forms.DecimalField(label=_("Planned utilisation in percent"))
    fees = forms.DecimalField(label=_("Ad-valorem fees in percent"))
    share = forms.DecimalField(label=_("A partner's part in percent"))
    margin = forms.DecimalField(label=_("Margin wanted in percent"))
    days = forms.IntegerField(label=_("Days of costs looked back upon"))
    months = forms.IntegerField(label=_("Months over which given credit is spread"))
    reason = forms.CharField(label=_("Reason"), min_length=10, max_length=500)


SHARES = ("planned_utilisation", "fees", "share", "margin")


def floor_policy(request: HttpRequest) -> HttpResponse:
    from saas.operations.site import operations

    held = floor_terms()
    shares = {"planned_utilisation": held.planned_utilisation, **vars(held.takes)}
    initial = {
        "basis": held.basis,
        "days": held.days,
        "months": held.months,
        **{name: plain(value * 100) for name, value in shares.items()},
    }

    def run(*, reason: str, **given: Any) -> Any:
        parts = {name: given.pop(name) / 100 for name in SHARES}
        planned = parts.pop("planned_utilisation")
        terms = FloorTerms(**given, planned_utilisation=planned, takes=Takes(**parts))
        return floor_policy_set(actor=actor_of(request), terms=terms, reason=reason)

    return ask(
        request,
        operations,
        form=PolicyForm,
        initial=initial,
        run=run,
        then=lambda _made: redirect("operations:floors"),
        title=_("Set the floor policy"),
        done=_("Floors are told so from now on."),
        note=_("What is written from now on is held to it; what stands is found by the sweep."),
        crumbs=[
            {"title": _("Floors"), "link": reverse("operations:floors")},
            {"title": _("Set the floor policy")},
        ],
    )


def _count(standing: Sequence[Standing], *, allowed: bool) -> str:
    below = [each for each in standing if each.price.is_below]
    return str(sum(bool(each.permit) is allowed for each in below))


def _worst(standing: Sequence[Standing]) -> list[Standing]:
    return sorted(standing, key=lambda each: each.price.margin)[:SHOWN]


def _names() -> dict[str, str]:
    books = PriceBook.objects.values_list("id", "name")
    return {**dict(books), **dict(Tenant.objects.values_list("id", "name"))}


def _state(each: Standing) -> Any:
    if not each.price.is_below:
        return None
    return show.as_code(each.permit) if each.permit else _("below, not allowed")


_money = partial(show.money, currency=CURRENCY)


def _columns(names: dict[str, str]) -> Sequence[show.Cell]:
    return (
        show.column(lambda row: names.get(row.price.book_id, row.price.book_id), _("Price book")),
        show.column(lambda row: names.get(row.price.tenant_id, row.price.tenant_id), _("Tenant")),
        show.text("price.price_key", _("Price")),
        _money("price.effective", _("Effective")),
        _money("price.floor", _("Floor")),
        _money("price.stop", _("Short-run cost")),
        _money("price.margin", _("Margin")),
        show.column(_state, _("Allowed by")),
    )


def _loss_columns(names: dict[str, str]) -> Sequence[show.Cell]:
    return (
        show.column(lambda row: names.get(row.tenant_id, row.tenant_id), _("Tenant")),
        show.text("price_key", _("Price")),
        show.number("quantity", _("Quantity")),
        _money("net", _("Charged")),
        _money("due", _("At the floor")),
        _money("loss", _("Lost")),
    )
