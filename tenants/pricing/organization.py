"""The organization/costs page in OpenAI's shape: what the tenant in scope was charged, net of tax.

https://platform.openai.com/docs/api-reference/usage/costs

Charges are kept by UTC day, so a page speaks of whole days. What the platform itself pays for
compute is never shown to a tenant.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from tenants.pricing.rating import USAGE
from tenants.pricing.selectors.charges import charge_lines_visible
from tenants.usage.buckets import COST_WIDTHS, BucketPage
from tenants.usage.meters import METERS
from tenants.usage.organization import (
    QUANTITY_UNITS,
    UsageQuery,
    check_groups,
    named,
    query_page,
    render,
)

Json = dict[str, Any]

COST_GROUPS = ("project_id", "user_id", "line_item", "api_key_id", "api_source")
_STORED = {"user_id", "api_key_id"}  # what charge lines carry; the rest is null
_DAY = 86400


@dataclass(frozen=True)
class _Row:
    """`group` ends with the currency: amounts of two are never added."""

    floor: int
    group: tuple[str | None, ...]
    meter: str
    quantity: Decimal
    net: Decimal


def costs_page(query: UsageQuery) -> Json:
    """Return one page of what the tenant was charged (`UsageCostsResponse`).

    Raises InvalidInput for a bad width, limit, range, cursor, filter or grouping.
    """
    check_groups(query.group_by, COST_GROUPS)
    page = query_page(_whole_days(query), COST_WIDTHS)
    by_line = "line_item" in query.group_by

    def result(group: tuple[str | None, ...], members: Sequence[_Row]) -> Json:
        *values, currency = group
        meters = {row.meter for row in members}
        meter = meters.pop() if by_line and len(meters) == 1 else ""
        quantity = sum((row.quantity for row in members), Decimal(0))
        return {
            "object": "organization.costs.result",
            "amount": {
                "value": float(sum((row.net for row in members), Decimal(0))),
                "currency": (currency or "").lower(),
            },
            "quantity": float(quantity) if meter else None,
            "quantity_unit": QUANTITY_UNITS.get(METERS[meter].unit) if meter in METERS else None,
            **named(query.group_by, tuple(values), COST_GROUPS),
        }

    return render(page, _rows(page, query), result)


def _whole_days(query: UsageQuery) -> UsageQuery:
    end = query.end_time
    if end is not None and end > query.start_time:
        end += -end % _DAY
    return dataclasses.replace(
        query, start_time=query.start_time - query.start_time % _DAY, end_time=end
    )


def _rows(page: BucketPage, query: UsageQuery) -> list[_Row]:
    """Sums by day, line, and group."""
    if not page.buckets:
        return []
    filters = {name: values for name, values in (query.filters or {}).items() if values}
    if not filters.keys() <= _STORED:
        return []  # no charge carries a project: none matches
    lines = charge_lines_visible().filter(
        day__gte=page.since.date(),
        day__lt=page.until.date(),
        **{f"{name}__in": list(values) for name, values in filters.items()},
    )
    names = [name for name in query.group_by if name in _STORED]
    columns = ["day", "kind", "model", "meter", "currency", *names]
    totals: Any = lines.order_by(*columns).values(*columns)
    return [
        _Row(
            floor=_floor(row["day"]),
            group=(*(_group_value(name, row) for name in query.group_by), row["currency"]),
            meter=row["meter"] if row["kind"] == USAGE else "",
            quantity=row["quantity_sum"],
            net=row["net_sum"],
        )
        for row in totals.annotate(quantity_sum=Sum("quantity"), net_sum=Sum("net"))
    ]


def _floor(day: dt.date) -> int:
    return int(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC).timestamp())


def _group_value(name: str, row: Mapping[str, Any]) -> str | None:
    if name == "line_item":
        return _line_item(row)
    if name == "api_source":
        return "unlabeled"
    value: str | None = row.get(name)
    return value or None


def _line_item(row: Mapping[str, Any]) -> str:
    """ "breakwater-mini-1, input_tokens", as OpenAI names its lines; ours add what was given back:
    "breakwater-mini-1, output_tokens, quote_cap".
    """
    what = "_".join(reversed(row["meter"].split("."))) if row["meter"] else ""
    kind = "" if row["kind"] == USAGE else row["kind"]
    return ", ".join(filter(None, (row["model"], what, kind)))
