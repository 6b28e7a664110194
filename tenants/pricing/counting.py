"""What usage has counted in a month, by price key and rate card, for any number of tenants.

Whole hours come from `usage_hour`; where a card begins or ends inside an hour, that hour's events
are summed themselves. One statement, so that all of it is of one moment.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tenants.pricing.cards import RateCard, Terms
from tenants.pricing.exact import EXACT, ZERO
from tenants.pricing.matching import PRICED_DIMENSIONS
from tenants.pricing.rating import KeyTotal

HOUR = dt.timedelta(hours=1)
_DIMENSIONS = sorted(PRICED_DIMENSIONS)
_VALUES = ", ".join(f"u.dimensions ->> '{name}'" for name in _DIMENSIONS)
_PLACES = ", ".join(str(number) for number in range(1, len(_DIMENSIONS) + 3))
_WINDOWS = """
    unnest(%({0}_place)s::int[], %({0}_tenant)s::text[], %({0}_since)s::timestamptz[],
        %({0}_until)s::timestamptz[]) AS w(place, tenant_id, since, until)
"""
COUNTED = f"""
    SELECT w.place, u.meter, {_VALUES}, sum(u.quantity)
    FROM {_WINDOWS.format("hour")} JOIN usage_hour u
        ON u.tenant_id = w.tenant_id AND u.hour >= w.since AND u.hour < w.until
    GROUP BY {_PLACES}
    UNION ALL
    SELECT w.place, u.meter, {_VALUES}, sum(u.quantity)
    FROM {_WINDOWS.format("event")} JOIN usage_event u
        ON u.tenant_id = w.tenant_id AND u.event_time >= w.since AND u.event_time < w.until
    GROUP BY {_PLACES}
"""  # noqa: S608 -- names of ours


@dataclass(frozen=True)
class Window:
    """[since, until) under one card; `whole`: on whole hours."""

    card: RateCard
    since: dt.datetime
    until: dt.datetime
    whole: bool


def windows_of(terms: Iterable[Terms]) -> list[Window]:
    """The cards' times, cut into whole hours and the rest."""
    return [
        window
        for its in terms
        for card in its.cards
        for window in _cut(card, card.starts, card.ends)
        if window.since < window.until
    ]


def counted_parameters(windows: Sequence[Window]) -> dict[str, list[Any]]:
    """The parameters of `COUNTED`."""
    parameters: dict[str, list[Any]] = {
        f"{table}_{name}": []
        for table in ("hour", "event")
        for name in ("place", "tenant", "since", "until")
    }
    for place, window in enumerate(windows):
        table = "hour" if window.whole else "event"
        values = (place, window.card.tenant_id, window.since, window.until)
        for name, value in zip(("place", "tenant", "since", "until"), values, strict=True):
            parameters[f"{table}_{name}"].append(value)
    return parameters


def counted_totals(
    windows: Sequence[Window], rows: Iterable[Sequence[Any]]
) -> dict[str, list[KeyTotal]]:
    """By tenant, what `COUNTED` found, summed under its price keys."""
    sums: dict[tuple[str, str, str, str], Decimal] = {}
    for place, meter, *values, quantity in rows:
        card = windows[place].card
        given = {n: v for n, v in zip(_DIMENSIONS, values, strict=True) if v is not None}
        key = card.price_of(meter, given).key
        name = card.tenant_id, key, card.version_id, card.contract_id
        sums[name] = EXACT.add(sums.get(name, ZERO), quantity)
    totals: dict[str, list[KeyTotal]] = {}
    for (tenant_id, *rest), quantity in sorted(sums.items()):
        totals.setdefault(tenant_id, []).append(KeyTotal(rest[0], rest[1], rest[2], quantity))
    return totals


def _cut(card: RateCard, since: dt.datetime, until: dt.datetime | None) -> Iterator[Window]:
    if until is None:
        raise ValueError("a card of a month has an end")
    first, last = _hour(since + HOUR - dt.timedelta(microseconds=1)), _hour(until)
    if first >= last:
        yield Window(card, since, until, whole=False)
        return
    yield Window(card, since, first, whole=False)
    yield Window(card, first, last, whole=True)
    yield Window(card, last, until, whole=False)


def _hour(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
