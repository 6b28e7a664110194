"""A panel: what this month's usage is made of, the largest first."""

from __future__ import annotations

from plugins.sdk import Page, Panel, hookimpl


@hookimpl
def console_panels(page: Page) -> tuple[Panel, ...]:
    """One row a meter, ordered by unit and then by quantity."""
    totals = sorted(page.usage, key=lambda total: (total.unit, -total.quantity, total.meter))
    rows = tuple((total.meter, f"{total.quantity:,}", total.unit) for total in totals)
    return (Panel("usage", f"Usage in {page.month}", ("Meter", "Quantity", "Unit"), rows),)
