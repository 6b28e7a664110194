"""Columns of lists and lines of details: each turns one row into one readable, translated cell."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from operator import attrgetter
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from saas.console.words import TONES, Word
from tenants.kernel.money import Money, minor_units

Cell = Callable[[Any], Any]
NONE = "–"


def column(source: str | Cell, label: Word, *, order: str | None = None) -> Cell:
    """A cell that shows `source`, a dotted attribute or a function of the row, as it is."""
    read = attrgetter(source) if isinstance(source, str) else source

    def cell(row: Any) -> Any:
        value = read(row)
        return NONE if value in (None, "") else value

    name = source.replace(".", "_") if isinstance(source, str) else source.__name__
    cell.__name__ = name.lstrip("_").replace("<lambda>", "cell")
    cell.short_description = label  # type: ignore[attr-defined]
    cell.admin_order_field = order  # type: ignore[attr-defined]
    return cell


def right(cell: Cell) -> Cell:
    """The same cell, set to the right in the tables of a detail: figures compare by their ends."""
    cell.align = "bw-right"  # type: ignore[attr-defined]
    return cell


def derived(source: str, label: Word, show: Callable[[Any], Any], *, sort: bool = False) -> Cell:
    """A cell that shows an attribute through `show`; a missing one as a dash."""
    read = attrgetter(source)

    def value(row: Any) -> Any:
        found = read(row)
        return NONE if found in (None, "") else show(found)

    value.__name__ = source.replace(".", "_")
    return column(value, label, order=source.replace(".", "__") if sort else None)


def text(source: str, label: Word, *, sort: bool = False) -> Cell:
    return derived(source, label, str, sort=sort)


def code(source: str, label: Word) -> Cell:
    return derived(source, label, as_code)


def moment(source: str, label: Word, *, sort: bool = True) -> Cell:
    return derived(source, label, as_moment, sort=sort)


def size(source: str, label: Word, *, sort: bool = True) -> Cell:
    return derived(source, label, as_size, sort=sort)


def number(source: str, label: Word, *, sort: bool = False) -> Cell:
    return right(derived(source, label, as_number, sort=sort))


def amount(source: str, label: Word, *, currency: str = "currency", sort: bool = False) -> Cell:
    """An amount of money with the currency that stands in the same row."""
    read, unit = attrgetter(source), attrgetter(currency)

    def value(row: Any) -> Any:
        found = read(row)
        return NONE if found is None else as_money(found, unit(row))

    value.__name__ = source.replace(".", "_")
    order = source.replace(".", "__") if sort else None
    return right(column(value, label, order=order))


def money(source: str, label: Word, currency: str) -> Cell:
    """An amount of money in a currency that all rows share."""
    return right(derived(source, label, lambda value: as_money(value, currency)))


def percent(source: str, label: Word) -> Cell:
    """A share of one as percents."""
    return right(derived(source, label, as_percent))


def word(source: str, label: Word, words: Mapping[str, Word]) -> Cell:
    return derived(source, label, lambda value: words.get(value, value))


def badge(source: str, label: Word, words: Mapping[str, Word]) -> Cell:
    return derived(source, label, lambda value: as_badge(value, words))


def as_code(value: Any) -> SafeString:
    return format_html('<code class="bw-code">{}</code>', value)


def as_badge(value: str, words: Mapping[str, Word]) -> SafeString:
    tone = TONES.get(value, "plain")
    return format_html(
        '<span class="bw-badge bw-badge-{}">{}</span>', tone, words.get(value, value)
    )


def as_moment(value: dt.datetime) -> SafeString:
    """UTC as the server knows it; the page's script turns it into the reader's own time."""
    utc = timezone.localtime(value, dt.UTC)
    shown = date_format(utc, "Y-m-d H:i")
    return format_html('<time datetime="{}">{} UTC</time>', utc.isoformat(), shown)


def as_number(value: float | Decimal) -> str:
    """Grouped by thousands in both languages: figures compare by their length."""
    if isinstance(value, Decimal):
        return f"{value.normalize():,f}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4f}"


def as_money(value: Decimal, currency: str) -> str:
    """At least the currency's own digits; fractions of a cent as far as they say something."""
    least = minor_units(currency)
    shown = round(value, 6) or round(value, 12)
    digits = max(least, -int(shown.normalize().as_tuple().exponent))
    return f"{shown:,.{digits}f} {currency}"


def as_cents(value: Decimal, currency: str) -> str:
    """In the currency's own digits, for figures that are read from afar."""
    return as_money(Money(value, currency).rounded().amount, currency)


def as_percent(value: Decimal) -> str:
    return f"{value * 100:,.1f} %"


def as_size(value: int) -> str:
    """Bytes in powers of 1000 (IEC 80000-13)."""
    if value < 1000:
        return f"{value} B"
    power = min(4, (len(str(value)) - 1) // 3)
    return f"{value / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"


def as_duration(seconds: float | None) -> str:
    """Seconds as people say them: the two largest units."""
    if seconds is None:
        return NONE
    whole = max(0, round(seconds))
    if whole < 60:
        return gettext("%(seconds)d s") % {"seconds": whole}
    large, small = divmod(whole, 60)
    if whole < 3600:
        form = gettext("%(large)d min %(small)d s") if small else gettext("%(large)d min")
    else:
        large, small = divmod(large, 60)
        form = gettext("%(large)d h %(small)d min") if small else gettext("%(large)d h")
    return form % {"large": large, "small": small}


def as_pairs(value: Mapping[str, Any]) -> SafeString | str:
    """A flat JSON object as a small table; nested values stay JSON."""
    if not value:
        return NONE
    return format_html(
        '<dl class="bw-pairs">{}</dl>',
        format_html_join("", "<dt>{}</dt><dd>{}</dd>", ((k, _plain(v)) for k, v in value.items())),
    )


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return NONE if value is None else str(value)
