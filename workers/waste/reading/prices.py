"""What a slot-second costs now, what of it not using it saves, and what spot capacity is like."""

from __future__ import annotations

from decimal import Decimal

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Coalesce, Now

from tenants.costs.models import Rate
from tenants.costs.unit_economics import avoidable_now
from workers.jobs.models import Attempt
from workers.waste.facts import Price, Spot
from workers.waste.reading.window import Window

HOURS_OF_MONTH = 30 * 24
# Until spot workers of a class have worked a day: an interruption in seven hours, as the large
# clouds tell of their busier classes; a new machine takes two minutes.
USUAL_INTERRUPTIONS_PER_HOUR, RESTART_S = 0.15, 120.0


def prices_read(window: Window) -> dict[str, Price]:
    rates = rates_by_kind()
    avoidable = avoidable_now()
    found = {}
    for resource, kinds in rates.items():
        amount = kinds.get(Rate.Kind.ON_DEMAND, next(iter(kinds.values())))
        spot = kinds.get(Rate.Kind.SPOT)
        found[resource] = Price(
            amount=amount,
            avoidable=avoidable.get(resource, Decimal(1)),
            spot=None if spot is None else Spot(spot, _interruptions(resource, window), RESTART_S),
        )
    return found


def gigabyte_month() -> Decimal:
    """What storing a GB for a month costs; nothing where nobody has said."""
    kinds = rates_by_kind().get("storage", {})
    return next(iter(kinds.values()), Decimal(0)) * HOURS_OF_MONTH


def rates_by_kind() -> dict[str, dict[str, Decimal]]:
    """Each resource's rates in force, by kind."""
    found: dict[str, dict[str, Decimal]] = {}
    for rate in Rate.objects.filter(valid_from__lte=Now()).order_by("valid_from"):
        found.setdefault(rate.resource_id, {})[rate.kind] = rate.amount
    return found


def _interruptions(resource: str, window: Window) -> float:
    """Attempts that ended because their machine went, over the hours worked, on spot workers."""
    went = Q(outcome__in=[Attempt.Outcome.LOST, Attempt.Outcome.HANDED_BACK])
    rows = Attempt.objects.filter(
        worker__rate_kind=Rate.Kind.SPOT,
        worker__worker_class=resource.removeprefix("worker."),
        started_at__gte=window.since,
    )
    sums = rows.aggregate(
        went=Count("id", filter=went), time=Sum(Coalesce("ended_at", Now()) - F("started_at"))
    )
    hours = float(sums["time"].total_seconds()) / 3600 if sums["time"] else 0.0
    return float(sums["went"]) / hours if hours >= 24 else USUAL_INTERRUPTIONS_PER_HOUR
