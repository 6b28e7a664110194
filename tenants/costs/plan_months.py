"""UTC months as plans count them. Pure."""

from __future__ import annotations

import datetime as dt

WEEK_S = 7 * 86_400


def month_of(moment: dt.datetime) -> dt.date:
    """The first day of the UTC month of `moment`."""
    return moment.astimezone(dt.UTC).date().replace(day=1)


def month_add(month: dt.date, count: int) -> dt.date:
    """The first day of the month `count` months on."""
    years, place = divmod(month.month - 1 + count, 12)
    return dt.date(month.year + years, place + 1, 1)


def months_between(first: dt.date, then: dt.date) -> int:
    """How many months `then` is after `first`, whatever the day."""
    return (then.year - first.year) * 12 + then.month - first.month


def month_begin(month: dt.date) -> dt.datetime:
    return dt.datetime.combine(month, dt.time(), tzinfo=dt.UTC)


def month_edges(since: dt.datetime, first: dt.date, months: int) -> list[float]:
    """Where `months` months from `first` on begin, and the last ends, in weeks after `since`."""
    begins = (month_begin(month_add(first, n)) for n in range(months + 1))
    return [(begin - since).total_seconds() / WEEK_S for begin in begins]
