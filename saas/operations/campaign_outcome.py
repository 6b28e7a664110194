"""What became of a campaign, on its page: by month, what happened beside what was foreseen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from saas.campaigns import campaign_outcome_of, campaign_result
from saas.console import columns as show
from saas.console.market_words import (
    FOLLOWED_STATES,
    MONTH_STATES,
    OUTCOME_WORDS,
    UNKNOWN_WORDS,
    VERDICT_WORDS,
    policy_word,
)
from saas.console.readonly import Section
from saas.console.words import Word
from tenants.kernel.errors import Conflict, NotFound
from tenants.market.following import FIGURES, Figure, Followed, Month
from tenants.market.reporting.plots import outcome_plot


@dataclass(frozen=True)
class Outcome:
    """A policy's part of the page."""

    policy: str
    name: Word
    state: Any
    first: Any
    months: Section
    proposals: Section


def outcome_of(followed: Followed, currency: str) -> Outcome:
    return Outcome(
        policy=followed.policy,
        name=policy_word(followed.policy) if followed.policy else _("by hand"),
        state=show.as_badge(followed.state, FOLLOWED_STATES),
        first=followed.first,
        months=Section(
            _("Month by month, in %(currency)s") % {"currency": currency},
            (
                show.column("number", _("Month")),
                show.column("first", _("From")),
                show.column(lambda month: MONTH_STATES[month.state], _("State")),
                *(_column(name) for name in FIGURES),
            ),
            followed.months,
        ),
        proposals=Section(_("Of the whole time, so far"), _PROPOSALS, followed.proposals),
    )


def campaign_outcome_plot(request: HttpRequest, campaign_id: str) -> HttpResponse:
    try:
        followed = campaign_outcome_of(campaign_id, request.GET.get("policy", ""))
        result = campaign_result(campaign_id)
    except Conflict as error:  # nothing to draw yet
        raise NotFound(error.message) from error
    drawn = outcome_plot(followed, result["currency"], "svg")
    return HttpResponse(drawn, content_type="image/svg+xml")


def _column(name: str) -> show.Cell:
    def cell(month: Month) -> Any:
        return _figure(month.figures[name], name)

    return show.right(show.column(cell, OUTCOME_WORDS[name]))


def _figure(figure: Figure, name: str) -> Any:
    """What happened, what was foreseen under it, and how the two stand."""
    shown = UNKNOWN_WORDS[figure.unknown] if figure.actual is None else _number(figure.actual, name)
    if figure.foreseen is None:
        return format_html("{}<br><small>{}</small>", shown, UNKNOWN_WORDS["not_foreseen"])
    low, high = (_number(Decimal(repr(figure.foreseen[end])), name) for end in ("low", "high"))
    return format_html(
        "{} {}<br><small>{} – {}</small>", shown, VERDICT_WORDS.get(figure.verdict, ""), low, high
    )


def _number(value: Decimal, name: str) -> str:
    if name == "share":
        return f"{value:.2%}"
    return f"{value:,.4f}" if name == "price" else f"{value:,.2f}"


def _pair(name: str) -> show.Cell:
    """An actual sum, with the foreseen one under it."""

    def cell(row: Any) -> Any:
        proposal, actual = row
        foreseen: Mapping[str, str] = proposal.foreseen
        told = f"{Decimal(foreseen[name]):,.2f}" if name in foreseen else show.NONE
        return format_html("{}<br><small>{}</small>", f"{getattr(actual, name):,.2f}", told)

    return show.right(show.column(cell, _SUMS[name]))


_SUMS: Mapping[str, Word] = {
    "quantity": _("Units sold, and foreseen"),
    "revenue": _("Revenue, and foreseen"),
    "loss": _("Sold below the floor, and foreseen"),
}
_PROPOSALS = (
    show.column(lambda row: str(row[0]), _("Price")),
    show.column(lambda row: row[0].ended_why, _("Ended because")),
    *(_pair(name) for name in _SUMS),
)
