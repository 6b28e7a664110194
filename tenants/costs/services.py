"""Writing costs: rates by operators, slot time by workers. All in the system's scope."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, connections

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.audit import audit_record
from tenants.costs.defaults import CURRENCY, DEFAULTS, SINCE
from tenants.costs.models import Rate, Resource
from tenants.costs.rates import RATE_DECIMALS, PricedStretch, RateStep, priced
from tenants.costs.schedules import MOST, RatePeriod, schedule_checked
from tenants.costs.slot_time import SlotTime
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from tenants.kernel.ids import new_id
from tenants.kernel.scope import SYSTEM, ScopeError, atomic, required_scope

_COLUMNS = {
    "id": "text", "key": "text", "resource_id": "text", "rate_id": "bigint", "purpose": "text",
    "tenant_id": "text", "job_id": "text", "attempt": "int", "worker": "text", "slot": "int",
    "started_at": "timestamptz", "ended_at": "timestamptz", "quantity": "numeric",
    "amount": "numeric", "currency": "text", "labels": "text",
}  # fmt: skip
_ARRAYS = ", ".join(f"%({name})s::{kind}[]" for name, kind in _COLUMNS.items())
_NAMES = ", ".join(_COLUMNS)
_VALUES = _NAMES.replace("labels", "labels::jsonb")
_INSERT = f"""
    INSERT INTO cost_entry ({_NAMES}) SELECT {_VALUES}
    FROM unnest({_ARRAYS}) AS e({_NAMES}) ORDER BY key
    ON CONFLICT (key) DO NOTHING
"""  # noqa: S608 -- column names of ours
# A statement of its own: only a fresh snapshot sees what a concurrent writer committed meanwhile.
_DIFFERING = f"""
    SELECT c.key FROM cost_entry c JOIN unnest({_ARRAYS}) AS e({_NAMES}) USING (key)
    WHERE (c.resource_id, c.purpose, c.tenant_id, c.job_id, c.worker, c.slot, c.started_at,
           c.ended_at) IS DISTINCT FROM
          (e.resource_id, e.purpose, e.tenant_id, e.job_id, e.worker, e.slot, e.started_at,
           e.ended_at)
    ORDER BY c.key LIMIT 5
"""  # noqa: S608 -- column names of ours


def slot_time_record(*, entries: Sequence[SlotTime]) -> int:
    """Write stretches of slot time as cost entries, each at the rate in force (system scope).

    A stretch across a change of rate becomes one entry a rate. Returns how many entries were new;
    a key seen before with the same stretch changes nothing. Raises Conflict where it named another
    stretch, NotFound for a resource without a rate; then none of `entries` is kept.
    """
    _system_only()
    lasting = [entry for entry in entries if entry.ended_at > entry.started_at]
    if not lasting:
        return 0
    steps = _rate_steps({(entry.resource, entry.rate_kind) for entry in lasting})
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    for entry in lasting:
        for number, piece in enumerate(_priced(entry, steps[entry.resource, entry.rate_kind])):
            for name, value in _row(entry, number, piece).items():
                columns[name].append(value)
    with atomic(), connections[SYSTEM].cursor() as cursor:
        cursor.execute(_INSERT, columns)
        new: int = cursor.rowcount
        if new < len(columns["key"]):
            cursor.execute(_DIFFERING, columns)
            if differing := ", ".join(repr(row[0]) for row in cursor.fetchall()):
                raise Conflict(
                    f"already used for another stretch: the cost key {differing}",
                    param="key",
                    code="cost_key_conflict",
                )
    return new


def rate_set(
    *,
    actor: Actor,
    resource_id: str,
    amount: Decimal,
    currency: str = CURRENCY,
    valid_from: dt.datetime | None = None,
    kind: str = Rate.Kind.ON_DEMAND,
) -> Rate:
    """Price a resource from `valid_from` (default: now) on (operators only, system scope).

    The past keeps its price: entries point at the rate that priced them. Raises PermissionDenied,
    NotFound, InvalidInput, or Conflict where a rate starts at that very moment.
    """
    _system_only()
    _operators_only(actor)
    moment = database_now()
    valid_from = valid_from or moment
    _check_rate(amount, currency, valid_from, kind, moment)
    resources_ensure()
    if not Resource.objects.filter(pk=resource_id).exists():
        raise NotFound(f"no resource {resource_id!r}", param="resource_id")
    try:
        with atomic():
            rate = Rate.objects.create(
                resource_id=resource_id,
                kind=kind,
                amount=amount,
                currency=currency,
                valid_from=valid_from,
            )
    except IntegrityError as error:
        raise Conflict(
            f"{resource_id} already has a rate from {valid_from.isoformat()}", param="valid_from"
        ) from error
    audit_record(
        actor=actor,
        action="rate.set",
        target=resource_id,
        data={"amount": str(amount), "kind": kind, "valid_from": valid_from.isoformat()},
    )
    return rate


def rates_schedule(
    *, actor: Actor, resource_id: str, kind: str, periods: Sequence[RatePeriod]
) -> list[Rate]:
    """Set a resource's rates of a kind for the periods of a schedule, all or none.

    Raises what `rate_set` does, InvalidInput where periods overlap or leave a gap, and Conflict
    where a rate already starts within the schedule.
    """
    _system_only()
    ordered = schedule_checked(periods)
    between = Rate.objects.filter(
        resource_id=resource_id, kind=kind, valid_from__gte=ordered[0].since
    )
    if there := between.order_by("valid_from").first():
        raise Conflict(
            f"{resource_id} already has a {kind} rate from {there.valid_from.isoformat()}, "
            "within the schedule",
            param="periods",
        )
    with atomic():
        return [
            rate_set(
                actor=actor,
                resource_id=resource_id,
                amount=period.amount,
                currency=period.currency,
                valid_from=period.since,
                kind=kind,
            )
            for period in ordered
        ]


def resources_ensure() -> None:
    """Have the resources that the platform buys, each with a first rate (system scope)."""
    _system_only()
    Resource.objects.bulk_create(
        (Resource(id=d.id, unit=d.unit, description=d.description) for d in DEFAULTS),
        ignore_conflicts=True,
    )
    Rate.objects.bulk_create(
        (
            Rate(resource_id=d.id, amount=d.amount, currency=CURRENCY, valid_from=SINCE)
            for d in DEFAULTS
        ),
        ignore_conflicts=True,
    )


def _rate_steps(wanted: set[tuple[str, str]]) -> dict[tuple[str, str], list[RateStep]]:
    """The rates of each wanted (resource, kind), by time. Raises NotFound where there is none."""
    steps = _read_steps(wanted)
    if steps.keys() < wanted:
        resources_ensure()
        steps = _read_steps(wanted)
    for resource, kind in sorted(wanted - steps.keys()):
        raise NotFound(
            f"the resource {resource!r} has no {kind} rate; an operator sets one with rate_set",
            param="resource",
        )
    return steps


def _read_steps(wanted: set[tuple[str, str]]) -> dict[tuple[str, str], list[RateStep]]:
    steps: dict[tuple[str, str], list[RateStep]] = {}
    rates = Rate.objects.filter(resource_id__in={resource for resource, _ in wanted})
    for rate in rates.order_by("valid_from"):
        step = RateStep(rate_id=rate.pk, valid_from=rate.valid_from, amount=rate.amount)
        steps.setdefault((rate.resource_id, rate.kind), []).append(step)
    return {key: value for key, value in steps.items() if key in wanted}


def _priced(entry: SlotTime, steps: Sequence[RateStep]) -> list[PricedStretch]:
    try:
        return priced(entry.started_at, entry.ended_at, steps)
    except ValueError as error:
        raise NotFound(f"{entry.resource}: {error}", param="started_at") from error


def _row(entry: SlotTime, number: int, piece: PricedStretch) -> dict[str, Any]:
    return {
        "id": new_id("cost_"),
        "key": entry.key if number == 0 else f"{entry.key}#{number}",
        "resource_id": entry.resource,
        "rate_id": piece.rate_id,
        "purpose": entry.purpose,
        "tenant_id": entry.tenant_id,
        "job_id": entry.job_id,
        "attempt": entry.attempt,
        "worker": entry.worker,
        "slot": entry.slot,
        "started_at": piece.started_at,
        "ended_at": piece.ended_at,
        "quantity": piece.seconds,
        "amount": piece.amount,
        "currency": CURRENCY,
        "labels": json.dumps(dict(entry.labels)),
    }


def _check_rate(
    amount: Decimal, currency: str, valid_from: dt.datetime, kind: str, moment: dt.datetime
) -> None:
    if not isinstance(amount, Decimal) or not amount.is_finite() or not 0 <= amount < MOST:
        raise InvalidInput("a rate is a Decimal of at least 0", param="amount")
    if amount != round(amount, RATE_DECIMALS):
        raise InvalidInput(f"a rate has at most {RATE_DECIMALS} decimals", param="amount")
    if currency != CURRENCY:
        raise InvalidInput(f"costs are kept in {CURRENCY}; convert first", param="currency")
    if kind not in Rate.Kind.values:
        raise InvalidInput(f"kind is one of {', '.join(Rate.Kind.values)}", param="kind")
    if valid_from.tzinfo is None or valid_from < moment:
        raise InvalidInput(
            "a rate starts now or later: what is already accounted keeps its price",
            param="valid_from",
        )


def _operators_only(actor: Actor) -> None:
    if actor.kind not in {ActorKind.OPERATOR, ActorKind.SYSTEM}:
        raise PermissionDenied("only the platform's operators set what compute costs")


def _system_only() -> None:
    scope = required_scope()
    if scope.tenant_id is not None:
        raise ScopeError(f"costs are the platform's own; {scope} neither reads nor writes them")
