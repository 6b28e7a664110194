"""The daily sweep: prices in force beside today's floors, for costs move while prices stand."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models.functions import Now

from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from tenants.kernel.scope import system_scope
from tenants.pricing.events import FloorBreached
from tenants.pricing.models import FloorFinding
from tenants.pricing.price_writes import prices_lock
from tenants.pricing.selectors.guarding import Standing, prices_standing

OPEN, CLOSED = FloorFinding.State.OPEN, FloorFinding.State.CLOSED
Place = tuple[str, str, str]  # book, tenant, price key


def floors_sweep() -> int:
    """Write down every price in force below its floor; close what is no more. Safe to repeat.

    Tells of each that nothing allows: when it is found, and again when what allowed it has ended.
    Returns how many of these are open.
    """
    with system_scope():
        prices_lock()
        known = {_place(row): row for row in FloorFinding.objects.filter(state=OPEN)}
        below = [standing for standing in prices_standing() if standing.price.is_below]
        found = [_write(standing, known.pop(_of(standing), None)) for standing in below]
        gone = [row.id for row in known.values()]
        FloorFinding.objects.filter(id__in=gone).update(state=CLOSED, closed_at=Now())
        return _unallowed(found)


def _write(standing: Standing, row: FloorFinding | None) -> FloorFinding:
    price, permit = standing.price, standing.permit
    news = not permit and (row is None or bool(row.permit))
    if row is None:
        row = FloorFinding(
            id=new_id("find_"),
            book_id=price.book_id,
            tenant_id=price.tenant_id,
            price_key=price.price_key,
            meter=price.meter,
            currency=price.currency,
        )
    row.base, row.permit = price.base, permit
    row.effective, row.floor, row.stop = price.effective, price.floor, price.stop
    row.last_seen_at = Now()
    row.save()
    if news:
        emit(
            FloorBreached(
                tenant_id=None,
                finding_id=row.id,
                book_id=price.book_id,
                buyer_id=price.tenant_id,
                price_key=price.price_key,
                effective=price.effective,
                floor=price.floor,
                currency=price.currency,
            )
        )
    return row


def _place(row: FloorFinding) -> Place:
    return row.book_id, row.tenant_id, row.price_key


def _of(standing: Standing) -> Place:
    return standing.price.book_id, standing.price.tenant_id, standing.price.price_key


def _unallowed(rows: Sequence[FloorFinding]) -> int:
    return sum(not row.permit for row in rows)
