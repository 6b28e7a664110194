"""Reading tenants' terms: programs for both drivers. See `cards`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from tenants.pricing.cards import (
    PRICES,
    TERMS,
    TermFacts,
    Terms,
    month_bounds,
    price_lists_learn,
    price_lists_missing,
    term_facts,
    terms_of,
)

Row = Sequence[Any]
Statement = tuple[str, Mapping[str, Any]]


def terms_read(
    tenant_ids: Sequence[str], periods: Sequence[dt.date]
) -> Generator[Statement, list[Row], dict[tuple[str, dt.date], Terms]]:
    """Read each tenant's terms in each month."""
    facts = yield from facts_read(tenant_ids, min(periods), max(periods))
    return {
        (tenant_id, period): terms_of(facts, tenant_id, period)
        for tenant_id in set(tenant_ids)
        for period in set(periods)
    }


def facts_read(
    tenant_ids: Sequence[str], first: dt.date, last: dt.date
) -> Generator[Statement, list[Row], TermFacts]:
    """Read what bears on the months from `first` to `last`, and the prices not yet known here."""
    bounds = {"since": month_bounds(first)[0], "until": month_bounds(last)[1]}
    facts = term_facts((yield TERMS, {"tenant_ids": sorted(set(tenant_ids)), **bounds}))
    missing = price_lists_missing(facts.version_ids)
    if missing:
        price_lists_learn(missing, (yield PRICES, {"version_ids": missing}))
    return facts
