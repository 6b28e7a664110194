"""Overheads: what is paid for all of the work, absorbed over planned volume. System scope.

An overhead is never changed: one of the same name takes its place from a day on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Literal

from django.db.models import Q, QuerySet

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.audit import audit_record
from tenants.costs.allocation import Overhead
from tenants.costs.models import CostOverhead
from tenants.kernel.clock import database_now
from tenants.kernel.errors import InvalidInput, NotFound, PermissionDenied
from tenants.kernel.ids import new_id
from tenants.kernel.locks import AdvisoryLock, advisory_lock
from tenants.kernel.scope import ScopeError, atomic, required_scope

WRITE = "billing.write"
DRIVERS: Mapping[str, Literal["seconds", "direct"]] = {"seconds": "seconds", "direct": "direct"}
DAYS_A_MONTH = Decimal("30.4375")  # 365.25 / 12
DECIMALS = Decimal("0.000000000001")
WIDE = Context(prec=60)  # the largest of them over centuries


def overheads() -> QuerySet[CostOverhead]:
    rows: QuerySet[CostOverhead] = CostOverhead.objects.order_by("name", "valid_from")
    return rows


def overheads_between(since: dt.datetime, until: dt.datetime) -> list[Overhead]:
    """Each overhead's part of the UTC days of [since, until), over what is planned for all of them.

    So one that was in force for half of them is absorbed at half its rate, and one that took its
    place at the other half.
    """
    first, last = since.astimezone(dt.UTC).date(), until.astimezone(dt.UTC).date()
    rows = overheads().filter(Q(ends=None) | Q(ends__gt=first), valid_from__lt=last)
    whole = (last - first).days / DAYS_A_MONTH
    found = []
    for row in rows:
        days = (min(last, row.ends or last) - max(first, row.valid_from)).days
        if days > 0:
            found.append(
                Overhead(
                    name=row.name,
                    amount=_part(row.amount, days / DAYS_A_MONTH),
                    driver=DRIVERS[row.driver],
                    planned=_part(row.planned, whole),
                )
            )
    return found


def overheads_on(day: dt.datetime) -> list[Overhead]:
    """Those in force on a UTC day, and that day's part of them."""
    return overheads_between(day, day + dt.timedelta(days=1))


def overhead_set(
    *, actor: Actor, name: str, amount: Decimal, driver: str, planned: Decimal
) -> CostOverhead:
    """From today on, `amount` a month is absorbed over `planned` units a month of its driver.

    Drivers: "seconds" of work, or "direct" cost of jobs. Raises PermissionDenied, InvalidInput.
    """
    _operators_only(actor)
    if not 1 <= len(name.strip()) <= 60:
        raise InvalidInput("an overhead has a name of 1 to 60 characters", param="name")
    if driver not in DRIVERS:
        known = ", ".join(DRIVERS)
        raise InvalidInput(f"a driver is one of {known}, not {driver!r}", param="driver")
    for param, value in (("amount", amount), ("planned", planned)):
        if not value.is_finite() or not 0 <= value < 10**14 or value != round(value, 6):
            raise InvalidInput(
                f"{param} is at least 0, with at most 6 decimals, not {value}", param=param
            )
    Overhead(name, amount, DRIVERS[driver], planned)  # refuses a volume of 0
    today = database_now().date()
    with atomic():
        advisory_lock(AdvisoryLock.COSTS, "overheads")  # two of one name at once: one is absorbed
        for row in overheads().select_for_update().filter(name=name, ends=None):
            _end(row, today)
        made: CostOverhead = CostOverhead.objects.create(
            id=new_id("overhead_"), name=name, amount=amount, driver=driver, planned=planned,
            valid_from=today,
        )  # fmt: skip
    data = {"amount": f"{amount:f}", "driver": driver, "planned": f"{planned:f}"}
    audit_record(actor=actor, action="overhead.set", target=made.id, data={"name": name, **data})
    return made


def overhead_end(*, actor: Actor, overhead_id: str) -> CostOverhead:
    """It is paid no more, from today on. Twice: once. Raises PermissionDenied, NotFound."""
    _operators_only(actor)
    row: CostOverhead | None = overheads().select_for_update().filter(pk=overhead_id).first()
    if row is None:
        raise NotFound(f"no overhead {overhead_id!r}", param="overhead_id")
    if row.ends is None:
        _end(row, database_now().date())
        audit_record(actor=actor, action="overhead.end", target=row.id, data={"name": row.name})
    return row


def _part(monthly: Decimal, months: Decimal) -> Decimal:
    return WIDE.quantize(WIDE.multiply(monthly, months), DECIMALS)


def _end(row: CostOverhead, day: dt.date) -> None:
    row.ends = day
    row.save(update_fields=["ends"])


def _operators_only(actor: Actor) -> None:
    scope = required_scope()
    if scope.tenant_id is not None:
        raise ScopeError(f"overheads are the platform's own; {scope} does not write them")
    if actor.kind not in {ActorKind.OPERATOR, ActorKind.SYSTEM}:
        raise PermissionDenied("only the platform's operators say what overheads are")
    actor.require(WRITE)
