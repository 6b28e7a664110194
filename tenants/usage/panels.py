"""Panels that a tenant's plugins draw of its month: asked for a moment, and judged before shown."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from decimal import Decimal

from plugins.host.facts import Failure, Outcome
from plugins.sdk.contracts import MeterTotal, Page, Panel
from tenants.kernel.clock import now
from tenants.partners.calls import hooks_ask, outcomes_keep
from tenants.usage.ingestion import plain_quantity
from tenants.usage.meters import METERS
from tenants.usage.selectors import usage_totals

HOOK = "console_panels"
LIMIT_S = 3.0  # a reader waits
MOST_PANELS, MOST_COLUMNS, MOST_ROWS, LONGEST_TEXT = 6, 12, 200, 200


@dataclass(frozen=True)
class Drawn:
    """What one plugin drew; nothing where it failed."""

    plugin: str
    panels: tuple[Panel, ...]
    failed: bool = False


def panels_drawn(tenant_id: str) -> list[Drawn]:
    """Every enabled plugin's panels of the month so far, in the tenant's scope. Text only: who
    shows them escapes it.
    """
    outcomes = hooks_ask(tenant_id, HOOK, {"page": _page()}, limit_s=LIMIT_S)
    judged = [_judged(outcome) for outcome in outcomes]
    outcomes_keep(judged)
    return [Drawn(o.plugin, () if o.failure else o.value, bool(o.failure)) for o in judged]


def _page() -> Page:
    start = now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    totals = tuple(
        MeterTotal(total.meter, METERS[total.meter].unit, Decimal(plain_quantity(total.quantity)))
        for total in usage_totals(since=start)
    )
    return Page(f"{start:%Y-%m}", totals)


def _judged(outcome: Outcome) -> Outcome:
    if outcome.failure is not None:
        return outcome
    wrong = _wrong(outcome.value)
    failure = Failure("contract", f"{HOOK}: {wrong}") if wrong else None
    return dataclasses.replace(outcome, failure=failure)


def _wrong(panels: tuple[Panel, ...]) -> str | None:
    if len(panels) > MOST_PANELS:
        return f"{len(panels)} panels; at most {MOST_PANELS}"
    for panel in panels:
        width = len(panel.columns)
        if width > MOST_COLUMNS or len(panel.rows) > MOST_ROWS:
            return f"{panel.name}: at most {MOST_COLUMNS} columns and {MOST_ROWS} rows"
        if any(len(row) != width for row in panel.rows):
            return f"{panel.name}: a row has other cells than the {width} columns"
        texts = (panel.title, *panel.columns, *(cell for row in panel.rows for cell in row))
        if any(len(text) > LONGEST_TEXT for text in texts):
            return f"{panel.name}: a text is longer than {LONGEST_TEXT} characters"
    return None
